// The review page by keys: the next question is shown at once, and what was decided is sent until the server has it.
"use strict";

const PENDING = "burnish-review-pending";
const DRAFT = "burnish-review-draft-";
const KEYS_OFF = "burnish-review-keys-off";
const AGAIN_MS = 1500;
// A second click or press this soon after a question appeared was not meant for it.
const TOO_SOON_MS = 200;

function review(section) {
  const part = (name) => section.querySelector(`#${name}`);
  const question = () => section.querySelector("form.question:not(.waits)");
  const following = () => section.querySelector("template");
  let pending = JSON.parse(sessionStorage.getItem(PENDING) || "[]");
  let isSending = false;
  let undoesNext = false;
  let shownMs = 0;
  let lookedMs = 0;
  let sinceMs = 0;
  let renewedMs = performance.now();
  let expiry = 0;

  const say = (words) => {
    const box = document.createElement("div");
    box.className = "fault";
    box.setAttribute("role", "alert");
    box.textContent = words;
    part("told").replaceChildren(...(words ? [box] : []));
  };
  const keep = () => sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const seconds = () => (lookedMs + (document.hidden ? 0 : performance.now() - sinceMs)) / 1000;

  // What was typed ----------------------------------------------------------------------------------------------------

  const typed = (form) => [...form.querySelectorAll("textarea, input[name^='field:']")];
  const isChanged = (form) => typed(form).some((input) => input.value !== input.defaultValue);
  const saveDraft = (form) => {
    const values = typed(form).map((input) => [input.name, input.value]);
    localStorage.setItem(DRAFT + form.dataset.item, JSON.stringify(values));
  };
  const restoreDraft = (form) => {
    const values = new Map(JSON.parse(localStorage.getItem(DRAFT + form.dataset.item) || "[]"));
    for (const input of typed(form)) if (values.has(input.name)) input.value = values.get(input.name);
  };

  // What is on the screen ---------------------------------------------------------------------------------------------

  const ready = (form) => {
    restoreDraft(form);
    for (const find of form.querySelectorAll(".find")) find.hidden = false;
    lookedMs = 0;
    sinceMs = shownMs = performance.now();
    form.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  };
  const show = (form) => {
    part("place").replaceChildren(form);
    ready(form);
  };
  const showFollowing = () => {
    const next = following()?.content.querySelector("form.question");
    if (next) {
      following().remove();
      show(document.importNode(next, true));
    } else {
      const form = question();
      form?.classList.add("waits");
      form?.setAttribute("inert", "");
    }
  };
  const watchLease = () => {
    clearTimeout(expiry);
    part("over").hidden = true;
    expiry = setTimeout(() => (part("over").hidden = !question()), 1000 * section.dataset.keptS);
  };

  // Takes over what a newer page of the server says; a question that is being answered stays as it is.
  const merge = (fresh) => {
    for (const name of ["told", "left", "rest", "back"]) {
      part(name).replaceChildren(...document.importNode(fresh.querySelector(`#${name}`), true).childNodes);
    }
    watchLease();
    renewedMs = performance.now();
    const sent = new Set(pending.map((one) => one.item));
    const template = fresh.querySelector("template");
    const forms = [fresh, template?.content].map((place) => place?.querySelector("form.question"));
    const [first, second] = forms.filter((form) => form && !sent.has(form.dataset.item));
    following()?.remove();
    if (second) {
      const place = document.createElement("template");
      place.content.append(document.importNode(second, true));
      part("place").after(place);
    }
    const here = question();
    const isHere =
      first && here && here.dataset.item === first.dataset.item && here.elements.turn.value === first.elements.turn.value;
    if (first && !isHere) show(document.importNode(first, true));
    if (!first && !pending.length) {
      part("place").replaceChildren(...document.importNode(fresh.querySelector("#place"), true).childNodes);
    }
  };

  // What is sent ------------------------------------------------------------------------------------------------------

  const later = (words) => {
    isSending = false;
    say(words);
    setTimeout(send, AGAIN_MS);
  };
  const send = async () => {
    if (isSending || !pending.length) return;
    isSending = true;
    let answer, fresh;
    try {
      const body = new URLSearchParams(pending[0].body);
      const headers = { Prefer: "return=representation" };
      const keepalive = pending[0].body.length < 60000;
      answer = await fetch(pending[0].url, { method: "POST", headers, body, keepalive });
      fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      later("Not saved yet: the server does not answer. Your answer is kept here and sent again until it does.");
      return;
    }
    if (answer.status === 401) {
      later("Not saved yet: the server was started anew. Open its new address in another tab; your answer is sent then.");
      return;
    }
    if (answer.status >= 500 && answer.status !== 500) {
      later("Not saved yet: the server is busy. Your answer is kept here and sent again.");
      return;
    }
    const sent = pending.shift();
    keep();
    isSending = false;
    const page = fresh.getElementById("review");
    if (page && answer.status !== 400) localStorage.removeItem(DRAFT + sent.item);
    if (page) merge(page);
    else document.body.replaceChildren(...document.importNode(fresh.body, true).childNodes);
    if (pending.length) send();
    else if (undoesNext) undo();
  };
  const post = (form, button, item) => {
    const data = new FormData(form);
    if (button?.name) data.set(button.name, button.value);
    pending.push({ url: form.action, body: new URLSearchParams(data).toString(), item });
    keep();
  };
  const decide = (form, button) => {
    if (performance.now() - shownMs < TOO_SOON_MS) return;
    const writes = typed(form);
    if (button.value === "accept" && isChanged(form)) {
      say("You have changed the answer. Save the change, or take it out to call the answer right.");
      return;
    }
    if (["edit", "label", "gold-wrong"].includes(button.value) && writes.every((input) => !input.value.trim())) {
      say("The answer is empty. Write it first.");
      writes[0]?.focus();
      return;
    }
    form.elements.seconds.value = seconds().toFixed(1);
    post(form, button, form.dataset.item);
    say("");
    showFollowing();
    send();
  };
  const undo = () => {
    undoesNext = pending.length > 0;
    const form = part("undo");
    if (undoesNext || !form) return;
    post(form, null, "");
    send();
  };
  const renew = async () => {
    if (performance.now() - renewedMs < (1000 * section.dataset.keptS) / 3) return;
    renewedMs = performance.now();
    const answer = await fetch("/review").catch(() => null);
    const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("review");
    if (page) merge(page);
  };

  // Keys --------------------------------------------------------------------------------------------------------------

  const isOff = () => localStorage.getItem(KEYS_OFF) === "yes";
  const showOff = () => {
    const button = part("keys-off");
    button.hidden = false;
    button.setAttribute("aria-pressed", String(isOff()));
    button.textContent = isOff() ? "Turn keys on" : "Turn keys off";
  };
  const find = (input) => {
    const wanted = input.value.trim().toLowerCase();
    const buttons = [...input.closest(".find").nextElementSibling.querySelectorAll("button")];
    for (const button of buttons) button.hidden = !button.querySelector("span").textContent.toLowerCase().includes(wanted);
    return wanted ? buttons.find((button) => !button.hidden) : null;
  };
  const whileTyping = (event, form) => {
    if (event.key === "Escape") form.focus();
    if (event.key !== "Enter") return;
    const isFound = event.target.matches("[data-find]");
    const save = form.querySelector("button.save") || form.querySelector("button[value='label']");
    const button = isFound ? find(event.target) : (event.ctrlKey || event.metaKey) && save;
    if (!button) return;
    event.preventDefault();
    button.click();
  };
  const byKey = (event, form) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isOff()) return;
    if (event.key === "u" && pending.length) {
      undo();
      return;
    }
    const scope = form.querySelector("details[open]") || form;
    const place = { e: form.querySelector("textarea, .fields input"), "/": scope.querySelector("[data-find]") }[event.key];
    const named = `[data-key="${CSS.escape(event.key)}"]`;
    const target = place || [scope, form, section].map((one) => one.querySelector(named)).find((one) => one && !one.hidden);
    if (!target) return;
    event.preventDefault();
    if (place) place.focus();
    else target.click();
  };

  document.addEventListener("keydown", (event) => {
    const form = question();
    if (form && form.contains(event.target) && isTyping(event.target)) whileTyping(event, form);
    else if (!isTyping(event.target)) byKey(event, form || section);
  });
  section.addEventListener("submit", (event) => {
    if (event.target.matches(".question, #undo")) event.preventDefault();
    if (event.target.matches(".question")) decide(event.target, event.submitter);
    if (event.target.matches("#undo")) undo();
  });
  section.addEventListener("input", (event) => {
    if (event.target.matches("[data-find]")) find(event.target);
    else if (question()?.contains(event.target)) saveDraft(question());
    renew();
  });
  part("keys-off").addEventListener("click", () => {
    localStorage.setItem(KEYS_OFF, isOff() ? "no" : "yes");
    showOff();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) lookedMs += performance.now() - sinceMs;
    sinceMs = performance.now();
  });

  showOff();
  watchLease();
  if (question()) ready(question());
  if (pending.some((one) => one.item === question()?.dataset.item)) showFollowing();
  send();
}

const reviewed = document.getElementById("review");
if (reviewed) review(reviewed);
