"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const noop = () => {};
  let stop = noop; // stops the current playback

  function showStatus(text) {
    $("status").textContent = text;
    $("status").hidden = !text;
  }

  // Marks a groove as playing and moves its playhead to `progress()` (0 to 1). Returns a function
  // that ends this.
  function showPlayhead(field, button, progress) {
    const draw = () => field.style.setProperty("--at", Math.min(Math.max(progress(), 0), 1));
    let frame = 0;
    const loop = () => {
      draw();
      frame = requestAnimationFrame(loop);
    };
    const timer = reducedMotion.matches ? setInterval(draw, 250) : 0;
    if (!timer) loop();
    field.classList.add("playing");
    button.setAttribute("aria-pressed", "true");
    return () => {
      cancelAnimationFrame(frame);
      clearInterval(timer);
      field.classList.remove("playing");
      button.setAttribute("aria-pressed", "false");
    };
  }

  const isPlaying = (button) => button.getAttribute("aria-pressed") === "true";

  // Cards: rendered sound in <audio> elements.

  function playCard(card, button) {
    stop();
    const audio = card.querySelector("audio");
    const { lead, seconds } = card.dataset;
    audio.currentTime = 0;
    const hidePlayhead = showPlayhead(
      card.querySelector(".field"), button, () => (audio.currentTime - lead) / seconds);
    const end = () => {
      stop = noop;
      audio.pause();
      audio.onended = null;
      hidePlayhead();
    };
    stop = audio.onended = end;
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // stopped before it started
      end();
      showStatus(`This browser cannot play the sound: ${error.message}`);
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".card .play");
    if (!button) return;
    if (isPlaying(button)) stop();
    else playCard(button.closest(".card"), button);
  });

  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      const template = details.querySelector("template");
      // A copy: an <audio> inside a template has already failed to load there.
      if (template) template.replaceWith(document.importNode(template.content, true));
    });
  }

  // The map: hits played by Web Audio from one-shots of each drum.

  const decodeBase64 = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const versions = {}; // of each, the hits of each window
  for (const name of ["original", "reconstruction"]) {
    let first = 0;
    const bytes = decodeBase64(data[name].hits);
    versions[name] = data[name].counts.map((count) => {
      const hits = [];
      for (const end = first + count; first < end; first++) {
        const [step, drum, velocity, late] = bytes.subarray(4 * first, 4 * first + 4);
        hits.push({ step, drum, velocity, late: (late - 128) / 127 / 2 });
      }
      return hits;
    });
  }

  const plane = document.querySelector(".plane svg");
  const points = [...document.querySelectorAll("#map-points use")];
  const positions = points.map((point) => [point.x.baseVal.value, point.y.baseVal.value]);
  const selectionRing = addRing("selected-point", 6);
  const focusRing = addRing("focused-point", 9); // for keyboard users
  let focused = 0; // the point in the tab order
  let selected = 0;
  let context, shots;

  function addRing(id, radius) {
    const circle = document.createElementNS(plane.namespaceURI, "circle");
    circle.id = id;
    circle.setAttribute("r", radius);
    circle.setAttribute("visibility", "hidden");
    points[0].parentNode.after(circle);
    return circle;
  }

  function moveRing(ring, number) {
    ring.setAttribute("cx", positions[number][0]);
    ring.setAttribute("cy", positions[number][1]);
    ring.removeAttribute("visibility");
  }

  const version = () => document.querySelector("input[name=version]:checked").value;

  function loadShots() {
    shots ||= Promise.all(data.shots.map((uris) => Promise.all(
      uris.map((uri) => context.decodeAudioData(decodeBase64(uri.split(",")[1]).buffer)))));
    return shots;
  }

  function nearestShot(velocity) {
    const distance = (i) => Math.abs(data.shotVelocities[i] - velocity);
    return data.shotVelocities.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0);
  }

  // Schedules all hits; any later hi-hat hit damps an open hi-hat.
  function schedule(hits, sounds, begin, stepSeconds, output) {
    let open = null;
    const time = (hit) => begin + (hit.step + hit.late) * stepSeconds;
    for (const hit of [...hits].sort((a, b) => time(a) - time(b))) {
      const shot = nearestShot(hit.velocity);
      const source = new AudioBufferSourceNode(context, { buffer: sounds[hit.drum][shot] });
      const gain = new GainNode(context, { gain: hit.velocity / data.shotVelocities[shot] });
      source.connect(gain).connect(output);
      source.start(time(hit));
      if (open && (hit.drum === data.closedHihat || hit.drum === data.openHihat)) {
        open.gain.setTargetAtTime(0, time(hit), 0.02);
        open = null;
      }
      if (hit.drum === data.openHihat) open = gain;
    }
  }

  async function playPoint(number) {
    stop();
    if (!data.shots.length) return;
    let isCancelled = false;
    stop = () => {
      stop = noop;
      isCancelled = true;
    };
    context ||= new AudioContext();
    try {
      await context.resume();
      const sounds = await loadShots();
      const hits = versions[version()][number];
      if (!isCancelled) playHits(hits, sounds, 60 / data.points[number].qpm / 4);
    } catch (error) {
      if (!isCancelled) stop();
      showStatus(`This browser cannot play the sound: ${error.message}`);
    }
  }

  function playHits(hits, sounds, stepSeconds) {
    const output = new GainNode(context);
    output.connect(context.destination);
    const begin = context.currentTime + 0.05 + stepSeconds / 2; // a hit may be half a step early
    schedule(hits, sounds, begin, stepSeconds, output);
    const seconds = data.steps * stepSeconds;
    const progress = () => (context.currentTime - begin) / seconds;
    const field = document.querySelector("#point .field");
    const hidePlayhead = showPlayhead(field, $("point-play"), progress);
    const timer = setTimeout(() => stop(), (begin + seconds + 1 - context.currentTime) * 1000);
    stop = () => {
      stop = noop;
      clearTimeout(timer);
      output.disconnect();
      hidePlayhead();
    };
  }

  // As `describe` in rolls.py; `original` is null for the original itself.
  function describe(hits, original) {
    const counts = data.drums
      .map((name, drum) => [name, hits.filter((hit) => hit.drum === drum).length])
      .filter(([, count]) => count)
      .map(([name, count]) => `${name} ${count}`);
    const text = `${hits.length} hits in ${data.steps / data.barSteps} bars` +
      `${counts.length ? ": " : ""}${counts.join(", ")}`;
    if (!original) return text;
    const countMissing = (from, others) => from.filter((hit) =>
      !others.some(({ step, drum }) => step === hit.step && drum === hit.drum)).length;
    return `${text}; missed ${countMissing(original, hits)}, added ${countMissing(hits, original)}`;
  }

  // As `roll` in rolls.py.
  function drawRoll(hits, original) {
    const [softest, loudest] = data.heights;
    const paths = new Map(data.lateness.map(([, name]) => [name, ""]));
    for (const { step, drum, velocity, late } of hits) {
      const [, name] = data.lateness.find(([limit]) => late < limit);
      const height = softest + ((loudest - softest) * velocity) / 127;
      const stem = `M${step + late} ${data.lanes[drum] + 0.94}v${-height}`;
      paths.set(name, paths.get(name) + stem);
    }
    const roll = $("point-roll");
    roll.setAttribute("viewBox", `0 0 ${data.steps} 9`);
    roll.setAttribute("aria-label", describe(hits, original));
    roll.innerHTML = `<use href="#grid-${data.steps}"/>` +
      [...paths].map(([name, d]) => `<path class="${name}" d="${d}"/>`).join("");
  }

  function setFocused(number) {
    points[focused].setAttribute("tabindex", "-1");
    focused = number;
    points[focused].setAttribute("tabindex", "0");
  }

  function select(number) {
    const point = data.points[number];
    setFocused(number);
    selected = number;
    moveRing(selectionRing, number);
    points.forEach((each, i) => each.setAttribute("aria-pressed", String(i === number)));
    $("hint").hidden = true;
    $("selected").hidden = false;
    $("point-style").textContent = point.style;
    $("point-file").textContent = data.files[point.file];
    $("point-bar").textContent = point.bar;
    $("point-tempo").textContent = `${Number(point.qpm.toFixed(1))} bpm`;
    const original = versions.original[number];
    drawRoll(versions[version()][number], version() === "original" ? null : original);
    playPoint(number);
  }

  // Returns the point with the least `distance(dx, dy)` from (x, y) below `limit`, or -1.
  function nearest(x, y, limit, distance) {
    let found = -1;
    positions.forEach(([px, py], i) => {
      const value = distance(px - x, py - y);
      if (value < limit) [found, limit] = [i, value];
    });
    return found;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // The next point in a direction; sideways distance counts twice.
  function neighbour([dx, dy]) {
    const [x, y] = positions[focused];
    return nearest(x, y, Infinity, (px, py) => {
      const ahead = px * dx + py * dy;
      const aside = Math.abs(px * dy) + Math.abs(py * dx);
      return ahead > 0 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
    });
  }

  function onKey(event) {
    if (event.key === "Enter" || event.key === " ") {
      select(focused);
    } else if (ARROWS[event.key]) {
      const next = neighbour(ARROWS[event.key]);
      if (next < 0) return;
      setFocused(next);
      points[next].focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  function onClick(event) {
    const matrix = plane.getScreenCTM();
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    const number = nearest(x, y, 24 / matrix.a, Math.hypot);
    if (number >= 0) select(number);
  }

  points.forEach((point, i) => {
    const { style, file, bar } = data.points[i];
    point.setAttribute("role", "button");
    point.setAttribute("tabindex", i ? "-1" : "0");
    point.setAttribute("aria-label", `${style}, ${data.files[file]}, bar ${bar}`);
    point.addEventListener("focus", () => {
      setFocused(i);
      if (point.matches(":focus-visible")) moveRing(focusRing, i);
    });
    point.addEventListener("blur", () => focusRing.setAttribute("visibility", "hidden"));
  });
  plane.setAttribute("role", "group");
  plane.addEventListener("keydown", onKey);
  plane.addEventListener("click", onClick);

  const styles = [...document.querySelectorAll(".styles button")];
  for (const button of styles) {
    button.addEventListener("click", () => {
      const wasPressed = button.getAttribute("aria-pressed") === "true";
      styles.forEach((each) => each.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!wasPressed));
      const colour = wasPressed ? null : Number(button.dataset.colour);
      points.forEach((point, i) =>
        point.classList.toggle("dimmed", colour !== null && data.points[i].colour !== colour));
    });
  }

  for (const input of document.querySelectorAll("input[name=version]")) {
    input.addEventListener("change", () => select(selected));
  }
  $("point-play")?.addEventListener("click", (event) => {
    if (isPlaying(event.currentTarget)) stop();
    else playPoint(selected);
  });
})();
