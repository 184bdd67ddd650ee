/* 画出本页的 Mermaid 图；读者切换明暗主题时重画。 */
"use strict";

const diagrams = [...document.querySelectorAll("pre.mermaid")];
const sources = diagrams.map((diagram) => diagram.textContent);

async function drawDiagrams() {
  const dark = document.documentElement.dataset.theme === "dark";
  mermaid.initialize({
    startOnLoad: false,
    theme: dark ? "dark" : "neutral",
    themeVariables: dark ? {edgeLabelBackground: "#333333"} : {},
    fontFamily: getComputedStyle(document.body).fontFamily,
    fontSize: 16,
  });
  for (const [i, diagram] of diagrams.entries()) {
    const {svg} = await mermaid.render(`mermaid-${i}`, sources[i]);
    diagram.innerHTML = svg;
    diagram.dataset.drawn = dark ? "dark" : "light";
  }
}

// 一次只画一遍：正在画的时候又换了主题，就排在后面再画。
let drawing = drawDiagrams();
new MutationObserver(() => { drawing = drawing.then(drawDiagrams); })
  .observe(document.documentElement, {attributeFilter: ["data-theme"]});
