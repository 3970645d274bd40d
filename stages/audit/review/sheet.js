"use strict";
(() => {
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  const data = (id) => JSON.parse(at(id).textContent);
  const [sample, documents, form] = [data("sample"), data("documents"), data("form")];
  const digest = document.querySelector('meta[name="datapipe-sample-sha256"]').content;
  const items = sample.items;
  const known = new Map(items.map((item, place) => [item.id, place]));
  const codes = new Set(form.reasons.map(([code]) => code));
  const keys = new Map(form.reasons.map(([code, key]) => [key, code]));
  const VERDICTS = ["pass", "fail", "unsure"];
  const NAMES = { pass: ["passes", "合格"], fail: ["fails", "不合格"], unsure: ["unsure", "不确定"] };
  const FACTS = {
    source: ["source", "来源"], language: ["language", "语言"], format: ["format", "体裁"], split: ["split", "划分"],
    characters: ["characters", "字符"], licence: ["licence", "许可"], published: ["published", "发布"],
    crawl_date: ["crawled", "抓取"], quality: ["quality", "质量分"], tokens: ["tokens", "词元"],
    cluster_size: ["copies", "重复数"], contamination: ["benchmarks", "评测集命中"],
  };
  const ACTIONS = { repair: ["changed by", "已修改"], flag: ["flagged by", "已标记"] };

  // Storage may be refused to a file: then the file of verdicts is all there is, and leaving the page asks.
  const remembered = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const remember = (name, value) => {
    try { localStorage.setItem(name, value); return true; } catch { return false; }
  };
  const KEY = `datapipe.review.${digest}`;

  let place = 0;
  let judged = new Map();
  let undo = [];
  let unsaved = 0; // changes that are in no file
  let file = null; // that the browser lets us write to again
  let kept = true; // whether this browser remembers
  let known_to = { reviewer: "", role: "" };

  // Words

  const isChinese = () => root.lang !== "en";
  const word = ([en, zh]) => (isChinese() ? zh : en);
  const number = (value) => Number(value).toLocaleString("en-US");
  const make = (name, properties = {}, ...content) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...content);
    return element;
  };
  const say = (words) => { at("said").textContent = word(words); };

  // What was judged

  const keep = () => {
    const said = { ...known_to, place, unsaved, verdicts: listed(), language: root.lang };
    kept = remember(KEY, JSON.stringify(said));
  };
  const good = (one) => one && known.has(one.id) && VERDICTS.includes(one.verdict) && (one.note === undefined || typeof one.note === "string")
    && (one.reasons === undefined || (Array.isArray(one.reasons) && one.reasons.every((code) => codes.has(code))));
  const whole = ({ id, verdict, reasons = [], note = "" }) => ({ id, verdict, reasons, note });
  const recall = (again = false) => {
    let said = null;
    try { said = JSON.parse(remembered(KEY)); } catch { /* as if there were none */ }
    if (!said || !Array.isArray(said.verdicts)) return;
    judged = new Map(said.verdicts.filter(good).map((one) => [one.id, whole(one)]));
    known_to = { reviewer: String(said.reviewer || ""), role: String(said.role || "") };
    if (!again) place = Number.isInteger(said.place) && items[said.place] ? said.place : 0;
    unsaved = Number(said.unsaved) || 0;
  };
  const listed = () => items.filter((item) => judged.has(item.id)).map((item) => judged.get(item.id));
  const change = (made) => {
    const id = items[place].id;
    const before = judged.get(id);
    const after = { id, verdict: "unsure", reasons: [], note: "", ...before, ...made };
    if (before && JSON.stringify(before) === JSON.stringify(after)) return;
    const last = undo.at(-1);
    const typing = "note" in made && Boolean(last) && last.note && last.id === id; // one change, however many letters
    if (!typing) undo.push({ id, before, note: "note" in made });
    judged.set(id, after);
    changed(typing && unsaved ? 0 : 1);
  };
  let later = 0;
  const changed = (by = 1) => {
    unsaved += by;
    keep();
    clearTimeout(later);
    if (file) later = setTimeout(() => write().catch(() => { file = null; draw(false); }), 1500);
  };
  const judge = (verdict) => {
    if (!matching(place)) return;
    change(verdict === "pass" ? { verdict, reasons: [] } : { verdict });
    const spoken = `${number(place + 1)}: ${word(NAMES[verdict])}`;
    if (verdict === "pass") step(1, true); else draw(false);
    say([spoken, spoken]);
  };
  const reason = (code) => {
    if (!matching(place)) return;
    const before = judged.get(items[place].id);
    const had = before ? before.reasons : [];
    const reasons = [...codes].filter((one) => (one === code) !== had.includes(one));
    change({ verdict: before && before.verdict !== "pass" ? before.verdict : "fail", reasons });
    draw(false);
  };
  const takeBack = () => {
    const last = undo.pop();
    if (!last) return say(["nothing to take back", "没有可撤销的操作"]);
    if (last.before) judged.set(last.id, last.before); else judged.delete(last.id);
    place = known.get(last.id);
    if (!matching(place)) { at("state").value = "all"; at("source").value = ""; }
    changed();
    draw();
    say(["taken back", "已撤销"]);
  };

  // Which is shown

  const matching = (which) => {
    const item = items[which];
    const source = at("source").value;
    if (!item || (source && source !== `=${item.source}`)) return false;
    const own = judged.get(item.id);
    switch (at("state").value) {
      case "unjudged": return !own;
      case "bare": return Boolean(own) && own.verdict === "fail" && !own.reasons.length;
      case "all": return true;
      default: return Boolean(own) && own.verdict === at("state").value;
    }
  };
  const find = (from, by, test) => {
    for (let which = from; which >= 0 && which < items.length; which += by) if (test(which)) return which;
    return -1;
  };
  const go = (which) => { place = which; keep(); draw(); };
  const step = (by, quiet = false) => {
    const found = find(place + by, by, matching);
    if (found >= 0) return go(found);
    draw(false);
    if (!quiet || by > 0) say(by > 0 ? ["the end of these documents", "已到最后一篇"] : ["the first of these documents", "已是第一篇"]);
  };
  const filtered = () => {
    const found = [find(place, 1, matching), find(place, -1, matching)].find((which) => which >= 0);
    if (found !== undefined) place = found;
    draw();
  };
  const unjudged = () => {
    const open = (which) => !judged.has(items[which].id) && (!at("source").value || at("source").value === `=${items[which].source}`);
    const found = [find(place + 1, 1, open), find(0, 1, open)].find((which) => which >= 0);
    if (found === undefined) return say(["all documents are judged", "全部文档均已审核"]);
    if (at("state").value !== "unjudged") at("state").value = "all";
    go(found);
  };

  // Drawing

  const languageOf = (item) => {
    const [language, script] = (item.language || "").split("_");
    if (["zho", "lzh", "mixed"].includes(language) || !language) {
      const own = script || item.script;
      return own === "Hant" ? "zh-Hant" : own === "Hans" ? "zh-Hans" : "";
    }
    return { eng: "en", jpn: "ja", kor: "ko" }[language] || (/^[a-z]{3}$/.test(language) && language !== "und" ? language : "");
  };
  const draw = (fresh = true) => {
    const shown = matching(place);
    const item = items[place];
    const own = judged.get(item.id);
    at("none").hidden = shown;
    for (const id of ["heading", "title", "address", "facts", "notes", "text"]) at(id).hidden = !shown;
    if (shown) {
      at("number").replaceChildren(make("b", { textContent: number(place + 1) }), ` / ${number(items.length)} · `, make("code", { textContent: item.id.slice(0, 12), title: item.id }));
      at("mark").className = own ? own.verdict : "";
      at("mark").textContent = own ? word(NAMES[own.verdict]) : "";
      if (at("text").dataset.place !== String(place) || at("text").lang !== root.lang) body(item);
    }
    for (const verdict of VERDICTS) at(verdict).ariaPressed = String(shown && own?.verdict === verdict);
    for (const one of document.querySelectorAll(".reason")) one.ariaPressed = String(shown && Boolean(own?.reasons.includes(one.dataset.code)));
    if (at("note").value !== (own?.note || "")) at("note").value = shown && own ? own.note : "";
    at("note").disabled = !shown;
    counts();
    if (fresh) {
      at("main").scrollTop = 0;
      at("heading").focus({ preventScroll: true });
    }
  };
  const body = (item) => {
    const [head, tail, leftOut, partial, notes, facts] = documents[place];
    const language = languageOf(item);
    const told = Object.fromEntries(facts);
    at("title").textContent = told.title || "";
    at("title").lang = language;
    at("address").textContent = item.url || "";
    const fact = (name, value) => make("div", {}, make("dt", { textContent: word(FACTS[name]) }), make("dd", { textContent: typeof value === "number" ? number(Number.isInteger(value) ? value : value.toFixed(3)) : String(value) }));
    const list = ["source", "language", "format", "split", "characters"].filter((name) => item[name] !== null && item[name] !== "" && !(name === "split" && item.split === "train"));
    at("facts").replaceChildren(
      ...list.map((name) => fact(name, item[name])),
      ...facts.filter(([name]) => FACTS[name]).map(([name, value]) => fact(name, value)),
    );
    at("notes").replaceChildren(...notes.map(([stage, action, rule, value]) => make("li", {
      textContent: `${word(ACTIONS[action] || [action, action])} ${stage} · ${rule}${value === null ? "" : ` (${value})`}`,
    })));
    const part = (text) => make("div", { className: ["code", "table"].includes(item.format) ? "part code" : "part", lang: language, dir: "auto", textContent: text });
    const line = (words) => make("p", { className: "cut", textContent: word(words) });
    const pieces = [];
    if (partial) pieces.push(line(["only a part of it lies in samples", "训练样本中仅含此文档的一部分"]));
    if (head) pieces.push(part(head));
    else pieces.push(make("p", { className: "lost", textContent: word(["no text", "无文本"]) }));
    if (leftOut) pieces.push(line([`${number(leftOut)} characters are left out here`, `此处省略约 ${number(leftOut)} 个字符`]));
    if (tail) pieces.push(part(tail));
    at("text").replaceChildren(...pieces);
    at("text").dataset.place = String(place);
    at("text").lang = root.lang;
  };
  const counts = () => {
    const of = { pass: 0, fail: 0, unsure: 0 };
    for (const one of judged.values()) of[one.verdict] += 1;
    for (const verdict of VERDICTS) at(`share-${verdict}`).style.flexGrow = String(of[verdict]);
    at("share-rest").style.flexGrow = String(items.length - judged.size);
    const shares = VERDICTS.map((verdict) => `${number(of[verdict])} ${word({ pass: ["pass", "合格"], fail: ["fail", "不合格"], unsure: ["unsure", "不确定"] }[verdict])}`);
    at("count").textContent = `${number(judged.size)} / ${number(items.length)} ${word(["judged", "已审核"])} · ${shares.join(" · ")}`;
    at("saved").className = unsaved ? "open" : "";
    at("saved").textContent = unsaved
      ? word([`${number(unsaved)} ${unsaved === 1 ? "change is" : "changes are"} in no file yet${kept ? "" : ", and this browser keeps none"}`, `${number(unsaved)} 处更改尚未写入文件${kept ? "" : "，且浏览器无法暂存"}`])
      : judged.size ? word(["saved", "已保存"]) : "";
    let among = 0;
    items.forEach((_, which) => { among += matching(which); });
    at("shown").textContent = among === items.length ? "" : word([`${number(among)} documents`, `${number(among)} 篇`]);
  };
  const speak = (language) => {
    root.lang = language;
    at("language").textContent = isChinese() ? "English" : "中文";
    at("language").lang = isChinese() ? "en" : "zh-Hans";
    for (const one of document.querySelectorAll("option[data-en]")) one.textContent = isChinese() ? one.dataset.zh : one.dataset.en;
    remember("datapipe.language", isChinese() ? "zh" : "en");
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const tint = (theme) => {
    if (theme) root.dataset.theme = theme;
    at("theme").replaceChildren(
      make("span", { lang: "en", textContent: isDark() ? "Light" : "Dark" }),
      make("span", { lang: "zh-Hans", textContent: isDark() ? "浅色" : "深色" }),
    );
  };

  // Files

  const content = () => `${JSON.stringify({
    format: form.format, format_version: 1, sample_sha256: digest, reviewer: known_to.reviewer.trim(), role: known_to.role.trim(),
    verdicts: listed(),
  }, null, 1)}\n`;
  const named = () => {
    const who = known_to.reviewer.trim().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
    return `verdicts-${sample.name}-${who || "reviewer"}.json`;
  };
  const download = () => {
    const url = URL.createObjectURL(new Blob([content()], { type: "application/json" }));
    const link = make("a", { href: url, download: named() });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };
  const write = async () => {
    const before = unsaved;
    const stream = await file.createWritable();
    await stream.write(content());
    await stream.close();
    unsaved -= before; // what was judged while it was written is not in it
    keep();
    draw(false);
  };
  const save = async () => {
    if (!known_to.reviewer.trim()) {
      at("nameless").hidden = false;
      return about();
    }
    if (window.showSaveFilePicker) {
      try {
        file ??= await window.showSaveFilePicker({ suggestedName: named(), types: [{ accept: { "application/json": [".json"] } }] });
        await write();
        return say(["saved", "已保存"]);
      } catch (error) {
        file = null;
        if (error.name === "AbortError") return;
      }
    }
    download();
    unsaved = 0;
    keep();
    draw(false);
    say(["saved", "已保存"]);
  };
  const read = (text) => {
    let said;
    try { said = JSON.parse(text); } catch { said = null; }
    const none = ["This is no file of verdicts.", "这不是审核结果文件。"];
    if (!said || said.format !== form.format || said.format_version !== 1 || !Array.isArray(said.verdicts)) return none;
    if (said.sample_sha256 !== digest) return ["These verdicts are of another sample.", "该文件属于另一份样本。"];
    if (!said.verdicts.every(good)) return ["This file was damaged: it holds what this sheet does not know.", "文件已损坏：含有本审核表无法识别的内容。"];
    said.verdicts = said.verdicts.map(whole);
    return said;
  };
  const merge = (said, theirs) => {
    let news = 0;
    for (const one of said.verdicts) {
      const before = judged.get(one.id);
      if (before && (!theirs || JSON.stringify(before) === JSON.stringify(one))) continue;
      undo.push({ id: one.id, before });
      judged.set(one.id, one);
      news += 1;
    }
    const own = judged.size;
    if (!known_to.reviewer) known_to = { reviewer: String(said.reviewer || ""), role: String(said.role || "") };
    at("reviewer").value = known_to.reviewer;
    at("role").value = known_to.role;
    // All that is judged now stands in that file, unless something was judged here besides.
    unsaved = own === said.verdicts.length && (theirs || news === own) ? 0 : unsaved + news;
    const first = find(0, 1, (which) => !judged.has(items[which].id));
    if (first >= 0) place = first;
    keep();
    draw();
    say([`${news} verdicts loaded`, `已载入 ${news} 条结果`]);
  };
  const load = async (given) => {
    const said = read(await given.text());
    const wrong = Array.isArray(said);
    const differ = wrong ? 0 : said.verdicts.filter((one) => judged.has(one.id) && JSON.stringify(judged.get(one.id)) !== JSON.stringify(one)).length;
    const other = !wrong && known_to.reviewer && said.reviewer && said.reviewer !== known_to.reviewer;
    if (!wrong && !differ && !other) return merge(said, true);
    at("merging").textContent = wrong ? word(said) : word([
      `${other ? `The file is ${said.reviewer}'s, and you are ${known_to.reviewer}. ` : ""}It holds ${number(said.verdicts.length)} verdicts, ${number(differ)} of which differ from yours.`,
      `${other ? `文件的审核人是${said.reviewer}，当前审核人是${known_to.reviewer}。` : ""}文件含 ${number(said.verdicts.length)} 条结果，其中 ${number(differ)} 条与现有结果不同。`,
    ]);
    at("theirs").hidden = at("mine").hidden = wrong;
    at("theirs").onclick = () => { at("merge").close(); merge(said, true); };
    at("mine").onclick = () => { at("merge").close(); merge(said, false); };
    at("merge").showModal();
  };

  // What is pressed

  const about = () => {
    at("reviewer").value = known_to.reviewer;
    at("role").value = known_to.role;
    if (!at("about").open) at("about").showModal();
    if (!known_to.reviewer) at("reviewer").focus();
  };
  const pressed = {
    "1": () => judge("pass"), "2": () => judge("fail"), "3": () => judge("unsure"),
    p: () => judge("pass"), f: () => judge("fail"), u: () => judge("unsure"),
    Enter: () => step(1), ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1),
    w: unjudged, z: takeBack, n: () => at("note").focus(), g: () => at("jump").focus(), "?": about,
  };
  const repeatable = ["ArrowRight", "ArrowLeft", "j", "k"];
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      save();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const inside = event.target;
    if (inside instanceof HTMLTextAreaElement || inside instanceof HTMLInputElement || inside instanceof HTMLSelectElement) {
      if (event.key === "Escape" || (event.key === "Enter" && event.target === at("note") && !event.shiftKey)) {
        event.preventDefault();
        at("heading").focus({ preventScroll: true });
      }
      return;
    }
    if (event.key === "Enter" && inside instanceof HTMLButtonElement) return; // which presses it
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = pressed[key] || (keys.has(key) && (() => reason(keys.get(key))));
    if (!act || (event.repeat && !repeatable.includes(key))) return;
    event.preventDefault();
    act();
  });
  const click = (id, act) => at(id).addEventListener("click", act);
  for (const verdict of VERDICTS) click(verdict, () => judge(verdict));
  for (const one of document.querySelectorAll(".reason")) one.addEventListener("click", () => reason(one.dataset.code));
  click("before", () => step(-1));
  click("next", () => step(1));
  click("help", about);
  click("save", save);
  click("load", () => at("file").click());
  click("cancel", () => at("merge").close());
  click("start", () => { at("nameless").hidden = true; at("about").close(); });
  at("about").addEventListener("close", () => at("heading").focus({ preventScroll: true }));
  click("language", () => { speak(isChinese() ? "en" : "zh-Hans"); draw(false); });
  click("theme", () => { tint(isDark() ? "light" : "dark"); remember("datapipe.theme", root.dataset.theme); });
  at("file").addEventListener("change", () => {
    const [given] = at("file").files;
    at("file").value = "";
    if (given) load(given);
  });
  at("note").addEventListener("input", () => {
    const text = at("note").value;
    if (!matching(place) || (!text && !judged.has(items[place].id))) return;
    change({ note: text });
    draw(false);
  });
  for (const name of ["state", "source"]) at(name).addEventListener("change", () => { filtered(); at(name).blur(); });
  at("jump").addEventListener("change", () => {
    const which = Math.trunc(Number(at("jump").value)) - 1;
    at("jump").value = "";
    if (!items[which]) return say(["there is no such number", "没有这个序号"]);
    if (!matching(which)) { at("state").value = "all"; at("source").value = ""; }
    go(which);
  });
  for (const name of ["reviewer", "role"]) {
    at(name).addEventListener("input", () => {
      known_to = { ...known_to, [name]: at(name).value };
      if (judged.size) unsaved += 1;
      keep();
      counts();
    });
    at(name).addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) at("start").click();
    });
  }
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  addEventListener("storage", (event) => { if (event.key === KEY) { recall(true); draw(false); } }); // of another tab, which is elsewhere

  root.classList.add("js");
  const theme = remembered("datapipe.theme");
  speak((remembered("datapipe.language") || ((navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en")) === "zh" ? "zh-Hans" : "en");
  tint(theme === "dark" || theme === "light" ? theme : "");
  recall();
  draw();
  if (!judged.size || !known_to.reviewer) about();
})();
