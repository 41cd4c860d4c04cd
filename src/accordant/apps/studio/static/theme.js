// Light or dark as the system says, unless the person chose; loaded before anything is drawn, so that nothing flashes.
"use strict";
(function () {
  const root = document.documentElement;
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch (error) {
    console.info("the choice of theme cannot be kept here:", error.message);
  }
  if (chosen) root.dataset.theme = chosen;
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const isDark = () =>
      (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const say = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch (error) {
        console.info("the choice of theme cannot be kept here:", error.message);
      }
      say();
    });
    say();
  });
})();
