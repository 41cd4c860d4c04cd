// Copying an invitation's link. Everything else on the admin's pages works without scripts.
const button = document.getElementById("copy");
if (button) {
  const field = document.getElementById("link");
  const said = document.getElementById("copied");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copied.";
    } catch (error) {
      console.info("the clipboard is closed to this page:", error.message);
      said.textContent = "The link is selected: copy it with Ctrl+C.";
    }
  });
}
