// Starts the studio.

import { currentLanguage, setLanguage, t, translate } from "./strings.js";
import { Studio } from "./studio.js";
import { readColours } from "./theme.js";

export let studio = null;

async function start() {
  setLanguage(savedLanguage() ?? navigator.language.slice(0, 2));
  document.getElementById("language").value = currentLanguage();
  readColours();
  translate();
  const { about, grooves } = JSON.parse(document.getElementById("start").textContent);
  studio = new Studio(about);
  await studio.open(grooves);
  document.body.dataset.ready = "true";
  performance.mark("ready");
  studio.audio.load().catch(({ message }) => studio.say(t("no-sounds", { error: message })));
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
