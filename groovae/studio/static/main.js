// Starts the studio.

import { get } from "./api.js";
import { currentLanguage, setLanguage, t, translate } from "./strings.js";
import { Studio } from "./studio.js";
import { readColours } from "./theme.js";

export let studio = null;

async function start() {
  setLanguage(savedLanguage() ?? navigator.language.slice(0, 2));
  document.getElementById("language").value = currentLanguage();
  readColours();
  translate();
  studio = new Studio(await get("about"));
  studio.audio.load().catch(({ message }) => studio.say(t("no-sounds", { error: message })));
  await studio.open();
  document.body.dataset.ready = "true";
}

function savedLanguage() {
  try {
    return localStorage.getItem("groovae-language");
  } catch {
    return null; // local storage is forbidden
  }
}

start().catch(({ message }) => {
  document.getElementById("message").textContent = message === "offline" ? t("offline") : message;
});
