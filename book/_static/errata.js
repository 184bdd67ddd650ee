/* 勘误页：按原文的节和判定筛选条目。条件写在地址里（#section=3&verdict=错），可以分享。 */
"use strict";

const form = document.querySelector("form.errata-filter");
const output = form.querySelector("output");

// 总表的每一行对应一条：行、它下文的小节、右侧目录里的一项。
const entries = [...form.parentElement.querySelector("table").tBodies[0].rows].map((row) => {
  const id = row.querySelector("a").hash.slice(1);
  return {
    id,
    parts: [row, document.getElementById(id).closest("section")],
    sections: row.cells[0].textContent.split("、").map((name) => name.trim().replace("§", "")),
    verdict: row.cells[2].textContent.trim(),
  };
});
const chapters = [...new Set(entries.map((entry) => entry.parts[1].parentElement))];
const contents = [...document.querySelectorAll(".bd-sidebar-secondary a[href^='#']")].map(
  (link) => [link.closest("li"), document.getElementById(decodeURIComponent(link.hash.slice(1)))],
);

// 选“3”时 3.1、3.2 步骤 1 也算。
const isInside = (number, chosen) =>
  number === chosen || number.startsWith(`${chosen}.`) || number.startsWith(`${chosen} `);

function show() {
  const section = form.elements.section.value;
  const verdict = form.elements.verdict.value;
  let count = 0;
  for (const entry of entries) {
    const fits = (!section || entry.sections.some((number) => isInside(number, section)))
      && (!verdict || entry.verdict === verdict);
    entry.parts.forEach((part) => { part.hidden = !fits; });
    count += fits;
  }
  for (const chapter of chapters) {
    chapter.hidden = entries.every(({parts}) => parts[1].parentElement !== chapter || parts[1].hidden);
  }
  for (const [item, target] of contents) {
    if (item) item.hidden = Boolean(target?.closest("section[hidden]"));
  }
  output.textContent = count ? `共 ${count} 条` : "没有符合的条目，换一个条件试试。";
}

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const linked = entries.find((entry) => entry.id === location.hash.slice(1));
  for (const field of [form.elements.section, form.elements.verdict]) {
    const value = wanted.get(field.name) || "";
    field.value = [...field.options].some((option) => option.value === value) ? value : "";
  }
  show();
  linked?.parts[1].scrollIntoView();
}

function writeAddress() {
  const chosen = [...new FormData(form)].filter(([, value]) => value);
  const hash = chosen.map(([name, value]) => `${name}=${value}`).join("&");
  history.replaceState(null, "", `#${hash}`);
  show();
}

form.hidden = false;
form.addEventListener("change", writeAddress);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(writeAddress));  // 等表单清空以后
window.addEventListener("hashchange", readAddress);
readAddress();
