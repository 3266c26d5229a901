"use strict";
(() => {
  const filter = document.querySelector(".filter");
  if (!filter) return;
  filter.hidden = false;
  const input = filter.querySelector("input");
  const buttons = [...filter.querySelectorAll("button")];
  const nothing = document.querySelector("#nothing");
  let classes = null;
  let wanted = "";

  const read = () =>
    [...document.querySelectorAll(".class")].map((element) => ({
      element,
      wasOpen: element.open,
      name: element.querySelector("bdi").textContent.toLowerCase(),
      tests: [...element.querySelectorAll("li")].map((item) => ({
        item,
        verdict: item.className || "passed",
        name: item.firstElementChild.textContent.toLowerCase(),
      })),
    }));

  const apply = () => {
    classes ??= read();
    const text = input.value.trim().toLowerCase();
    const filtering = text !== "" || wanted !== "";
    let shown = 0;
    for (const one of classes) {
      const ofClass = one.name.includes(text);
      let matching = 0;
      for (const test of one.tests) {
        const matches = (wanted === "" || test.verdict === wanted) && (ofClass || test.name.includes(text));
        test.item.hidden = !matches;
        matching += matches ? 1 : 0;
      }
      one.element.hidden = matching === 0;
      shown += matching > 0 ? 1 : 0;
      one.element.open = filtering ? matching > 0 && (wanted !== "" || !ofClass) && matching <= 200 : one.wasOpen;
    }
    nothing.hidden = shown > 0;
  };

  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 120);
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      wanted = button.dataset.verdict;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      apply();
    });
  }
})();
