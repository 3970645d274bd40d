"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // Storage may be refused to a file; then the page only forgets.
  const remembered = (name) => {
    try { return localStorage.getItem("datapipe." + name); } catch { return null; }
  };
  const remember = (name, value) => {
    try { localStorage.setItem("datapipe." + name, value); } catch { /* forgotten */ }
  };
  const speak = (language) => { root.lang = language === "zh" ? "zh-Hans" : "en"; };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  root.classList.add("js");
  speak(remembered("language") || ((navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en"));
  const theme = remembered("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  const make = (name, properties = {}, ...content) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...content);
    return element;
  };
  const both = (en, zh) => [
    make("span", { lang: "en", textContent: en }),
    make("span", { lang: "zh-Hans", textContent: zh }),
  ];
  const button = (content, click) => {
    const made = make("button", { type: "button" }, ...content);
    made.addEventListener("click", () => click(made));
    return made;
  };

  const byHand = (text) => {
    const area = make("textarea", { value: text, readOnly: true, className: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  const copy = async (text, pressed) => {
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch { done = byHand(text); }
    pressed.focus();
    pressed.replaceChildren(...(done ? both("Copied", "已复制") : both("Select and copy by hand", "请手动选取复制")));
    setTimeout(() => pressed.replaceChildren(...both("Copy", "复制")), 1600);
  };
  const copier = (text) => {
    const made = button(both("Copy", "复制"), (pressed) => copy(text(), pressed));
    made.ariaLive = "polite";
    return made;
  };

  const switches = () => {
    const place = document.querySelector(".switches");
    const language = button([], () => {
      const next = root.lang === "en" ? "zh" : "en";
      speak(next);
      remember("language", next);
      name();
    });
    language.className = "language";
    const name = () => {
      const chinese = root.lang !== "en";
      language.replaceChildren(chinese ? "English" : "中文");
      // It is in the language that it leads to.
      language.firstChild.replaceWith(
        make("span", { className: "keep", lang: chinese ? "en" : "zh-Hans", textContent: chinese ? "English" : "中文" }));
    };
    const paint = button([], () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember("theme", root.dataset.theme);
      shade();
    });
    paint.className = "theme";
    const shade = () => paint.replaceChildren(...(isDark() ? both("Light", "浅色") : both("Dark", "深色")));
    dark.addEventListener("change", shade);
    name();
    shade();
    place.append(language, paint);
    place.hidden = false;
  };

  // Numbers before words, what is unknown last either way, and equals as they stood.
  const order = (column, down) => (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    if (x === null || y === null || x === undefined || y === undefined) {
      return (x ?? null) === (y ?? null) ? a.number - b.number : (x ?? null) === null ? 1 : -1;
    }
    const numbers = (typeof y === "number") - (typeof x === "number");
    const way = numbers || (typeof x === "number" ? x - y : x.localeCompare(y, root.lang));
    return (down ? -way : way) || a.number - b.number;
  };

  const table = (block, data) => {
    const grid = block.querySelector("table");
    const body = grid.tBodies[0];
    const rows = [...body.rows].map((row, number) => ({ row, number, cells: data.rows[number], asked: null }));
    let shown = rows;
    const place = () => {
      body.append(...shown.flatMap((one) => (one.asked ? [one.row, one.asked] : [one.row])));
    };
    const heads = [...grid.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const number = data.columns[column][1] !== "text";
      head.ariaSort = "none";
      const sorter = button([...head.childNodes], () => {
        const first = number ? "descending" : "ascending";
        const second = number ? "ascending" : "descending";
        const now = head.ariaSort === "none" ? first : head.ariaSort === first ? second : "none";
        heads.forEach((other) => { other.ariaSort = "none"; });
        head.ariaSort = now;
        shown = now === "none" ? rows : [...rows].sort(order(column, now === "descending"));
        place();
      });
      head.replaceChildren(sorter);
    });

    // A command has the width of the table, in a row below the one that asks for it.
    const show = (one, shown) => {
      one.asked?.remove();
      one.asked = null;
      if (!shown) return;
      const box = make("td", { colSpan: heads.length }, command(one.details.querySelector("code").cloneNode(true)));
      one.asked = make("tr", { className: "asked", hidden: one.row.hidden }, box);
      one.row.after(one.asked);
    };
    for (const one of rows) {
      one.details = one.row.querySelector("details");
      one.details?.addEventListener("toggle", () => show(one, one.details.open));
    }
    const asking = rows.filter((one) => one.details);
    addEventListener("beforeprint", () => asking.forEach((one) => show(one, true)));
    addEventListener("afterprint", () => asking.forEach((one) => show(one, one.details.open)));

    // All digits of a number are told where the pointer rests.
    body.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td, th");
      const one = cell && rows.find(({ row }) => row === cell.parentNode);
      const value = one?.cells[cell.cellIndex];
      if (typeof value === "number" && !cell.title) cell.title = value.toLocaleString("en", { maximumSignificantDigits: 15 });
    });

    // Of a long table the first rows stand open; all do on a click, and what is looked for does.
    const tools = block.querySelector(".tools");
    if (grid.classList.contains("few")) {
      let folded = true;
      let wanted = "";
      const fold = () => {
        grid.classList.toggle("few", folded && !wanted);
        all.hidden = Boolean(wanted);
        all.ariaExpanded = String(!folded);
        all.replaceChildren(...(folded ? both(`Show all ${rows.length} rows`, `显示全部 ${rows.length} 行`) : both("Show the first rows only", "只显示前几行")));
      };
      const all = button([], () => {
        folded = !folded;
        fold();
        if (folded) block.scrollIntoView({ block: "nearest" });
      });
      all.className = "all";
      grid.after(all);
      fold();
      const count = make("output");
      const words = rows.map((one) => [...one.row.cells]
        .map((cell) => (cell.querySelector("summary") ?? cell).textContent).join("\n").toLowerCase());
      const input = make("input", { type: "search" });
      input.addEventListener("input", () => {
        wanted = input.value.trim().toLowerCase();
        fold();
        for (const one of rows) {
          one.row.hidden = !words[one.number].includes(wanted);
          if (one.asked) one.asked.hidden = one.row.hidden;
        }
        count.value = wanted ? `${rows.filter((one) => !one.row.hidden).length} / ${rows.length}` : "";
      });
      tools.append(make("label", {}, ...both("Filter ", "筛选 "), input), count);
    }
    tools.append(copier(() => [
      heads.map((head) => head.innerText.trim().replace(/\s+/g, " ")),
      ...shown.filter((one) => !one.row.hidden).map((one) => one.cells),
    ].map((cells) => cells.map((cell) => String(cell ?? "").replace(/[\t\n\r]/g, " ")).join("\t")).join("\n") + "\n"));
  };
  const command = (code) => make("div", { className: "cmd" }, code, copier(() => code.textContent));

  const follow = () => {
    const links = [...document.querySelectorAll("nav a")];
    const nav = document.querySelector("nav");
    const parts = links.map((link) => document.getElementById(link.hash.slice(1)));
    let waiting = false;
    let current = null;
    const look = () => {
      waiting = false;
      const end = innerHeight + scrollY >= root.scrollHeight - 2 && scrollY > 0;
      const passed = parts.filter((part) => part.getBoundingClientRect().top < innerHeight * 0.3).length;
      const link = links[end ? links.length - 1 : Math.max(0, passed - 1)];
      if (link === current) return;
      current?.removeAttribute("aria-current");
      current = link;
      current?.setAttribute("aria-current", "true");
      if (current) nav.scrollLeft = current.offsetLeft - 48;
    };
    const soon = () => {
      if (!waiting) requestAnimationFrame(look);
      waiting = true;
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    look();
  };

  // What a link leads to may be closed.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target?.closest("details:not([open])");
    if (closed) {
      closed.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);

  // What is printed is open, and closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".more:not([open]), .card details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });

  document.addEventListener("DOMContentLoaded", () => {
    const data = JSON.parse(document.getElementById("audit-data").textContent);
    switches();
    for (const details of document.querySelectorAll(".card details")) {
      details.append(command(details.querySelector("code")));
    }
    for (const [key, held] of Object.entries(data.tables)) {
      const block = document.getElementById(key);
      if (block.querySelector("table")) table(block, held);
    }
    follow();
    reveal();
  });
})();
