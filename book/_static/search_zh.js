/* 搜索页：让 Sphinx 的搜索更适合中文。本文件在 searchtools.js 之后、搜索开始之前运行。 */
"use strict";

// 从 file:// 打开时浏览器不许读取别的页面，就不显示摘要。
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// 高亮查询里完整的词（余弦相似度），而不是两字片段（余弦、弦相……）。
const parseQuery = Search._parseQuery;
Search._parseQuery = (query) => {
  const parsed = parseQuery(query);
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
  localStorage.setItem("sphinx_highlight_terms", words.join(" "));
  parsed[3] = new Set(words);
  return parsed;
};

// 每个片段都必须出现；分数相加，片段在标题里的页面排在前面。
const searchOneTerm = Search.performTermsSearch;
Search.performTermsSearch = (terms, excluded) => {
  const hits = new Map();
  for (const term of terms) {
    for (const result of searchOneTerm(new Set([term]), excluded)) {
      const hit = hits.get(result[0]) || {result, score: 0, count: 0};
      hit.score += result[4];
      hit.count += 1;
      hits.set(result[0], hit);
    }
  }
  return [...hits.values()]
    .filter((hit) => hit.count === terms.size)
    .map((hit) => Object.assign([...hit.result], {4: hit.score / terms.size}));
};

// 摘要从完整的词附近取；找不到时退回片段。
const makeSummary = Search.makeSearchSummary;
Search.makeSearchSummary = (html, keywords, anchor) => {
  const query = new URLSearchParams(location.search).get("q") || "";
  const words = query.match(/[\p{L}\p{N}_]+/gu) || [];
  return makeSummary(html, [...keywords, ...words], anchor);
};
