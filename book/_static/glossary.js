/* 术语的释义：鼠标悬停、键盘聚焦或手机点按时显示；移开、点别处或按 Esc 收起。
   没有脚本时链接照样通到术语表，释义在 title 里。 */
"use strict";

(() => {
  const tip = document.createElement("div");
  tip.id = "glossary-tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);

  const MARGIN = 8; // 离屏幕边缘的像素数
  let current = null; // 正在解释的链接
  let pointer = ""; // 最近一次按下的是鼠标、笔还是手指；用键盘时为空
  let timer;

  const linkAt = (event) => event.target.closest?.("a.glossary-hint");

  function place(word) {
    tip.style.left = "0";
    const rightmost = document.documentElement.clientWidth - tip.offsetWidth - MARGIN;
    const left = Math.max(MARGIN, Math.min(word.left, rightmost));
    const below = word.bottom + MARGIN;
    const fits = below + tip.offsetHeight <= innerHeight;
    const top = fits ? below : word.top - tip.offsetHeight - MARGIN;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  }

  function hide() {
    clearTimeout(timer);
    if (!current) return;
    current.title = tip.textContent;
    current.removeAttribute("aria-describedby");
    current = null;
    tip.hidden = true;
  }

  function show(link) {
    clearTimeout(timer);
    if (link === current) return;
    hide();
    current = link;
    tip.textContent = link.title;
    tip.hidden = false;
    link.removeAttribute("title"); // 免得浏览器自己再显示一次
    link.setAttribute("aria-describedby", tip.id);
    place(link.getBoundingClientRect());
  }

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    const link = linkAt(event);
    clearTimeout(timer);
    if (link) show(link);
    else if (!tip.contains(event.target)) timer = setTimeout(hide, 200);
  });
  document.addEventListener("focusin", (event) => {
    const link = linkAt(event);
    if (link?.matches(":focus-visible")) show(link);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("pointerdown", (event) => {
    pointer = event.pointerType;
    const readsTip = pointer === "mouse" && tip.contains(event.target);
    if (linkAt(event) !== current && !readsTip) hide();
  });
  document.addEventListener("click", (event) => {
    const link = linkAt(event);
    if (!link || link === current || pointer !== "touch") return;
    event.preventDefault(); // 手指点第一下看释义，再点一下才去术语表
    show(link);
  });
  document.addEventListener("keydown", (event) => {
    pointer = "";
    if (event.key === "Escape") hide();
  });
  addEventListener("resize", hide);
})();
