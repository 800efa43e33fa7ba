// Keys, and what runs now. Every page works without this file; with it, a page is two keys away, a judgement one, and a
// running round is seen as it goes.
"use strict";

const isTyping = (target) =>
  target.matches("textarea, select") || (target.matches("input") && !/^(radio|checkbox)$/.test(target.type));

function goByKey() {
  let waits = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (waits) {
      waits = false;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        event.stopImmediatePropagation();
        link.click();
      }
      return;
    }
    if (event.key === "g" && !event.repeat) {
      waits = true;
      event.stopImmediatePropagation();
      setTimeout(() => (waits = false), 1500);
    }
  });
}

function judgeByKey(form) {
  const rows = [...form.querySelectorAll("fieldset[data-row]")];
  const place = `burnish-audit-${form.dataset.draft}`;
  let at = 0;

  const chosen = (row) => row.querySelector("input:checked");
  const show = () => {
    document.getElementById("count").textContent = rows.filter(chosen).length;
  };
  const go = (number) => {
    rows[at].classList.remove("now");
    at = Math.min(Math.max(number, 0), rows.length - 1);
    rows[at].classList.add("now");
    (chosen(rows[at]) || rows[at].querySelector("input")).focus({ preventScroll: true });
    rows[at].scrollIntoView({ block: "center" });
  };
  const keep = () => {
    const draft = rows.filter(chosen).map((row) => [row.dataset.row, chosen(row).value]);
    localStorage.setItem(place, JSON.stringify(draft));
  };
  const restore = () => {
    const draft = new Map(JSON.parse(localStorage.getItem(place) || "[]"));
    for (const row of rows) {
      if (chosen(row)) continue;
      for (const input of row.querySelectorAll("input")) input.checked = draft.get(row.dataset.row) === input.value;
    }
  };

  for (const span of form.querySelectorAll(".choices span")) {
    const key = span.previousElementSibling.dataset.key;
    if (key) span.dataset.key = key;
  }
  form.addEventListener("change", (event) => {
    const row = event.target.closest("fieldset[data-row]");
    if (!row) return;
    rows[at].classList.remove("now");
    at = rows.indexOf(row);
    row.classList.add("now");
    keep();
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      go(at + (event.key === "j" ? 1 : -1));
      return;
    }
    const input = rows[at].querySelector(`input[data-key="${CSS.escape(event.key)}"]`);
    if (!input) return;
    event.preventDefault();
    input.checked = true;
    keep();
    show();
    if (at < rows.length - 1) go(at + 1);
    else form.querySelector("input[name=by]").focus();
  });
  form.addEventListener("submit", () => {
    form.querySelector("button").disabled = true;
  });
  restore();
  show();
  const open = rows.findIndex((row) => !chosen(row));
  go(open < 0 ? 0 : open);
}

function follow(place) {
  const said = document.getElementById("live-said");
  let stream = null;
  const open = () => {
    if (document.hidden || stream) return;
    stream = new EventSource(place.dataset.live);
    stream.onmessage = (event) => {
      place.innerHTML = event.data; // made and escaped by the server, as the page is
      const step = place.querySelector("[aria-current=step], .note-box > b");
      if (step && step.textContent !== said.textContent) said.textContent = step.textContent;
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && stream) {
      stream.close(); // a browser has few connections for all its tabs
      stream = null;
    } else open();
  });
  window.addEventListener("pagehide", () => stream && stream.close());
  open();
}

goByKey();
const live = document.getElementById("live");
if (live) follow(live);
const judged = document.querySelector("[data-judged]");
if (judged) localStorage.removeItem(`burnish-audit-${judged.dataset.judged}`);
const audit = document.getElementById("audit");
if (audit) judgeByKey(audit);
