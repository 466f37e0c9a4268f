"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const idle = () => {};
  let stop = idle; // ends what is playing

  function tell(text) {
    $("status").textContent = text;
    $("status").hidden = !text;
  }

  // Marks a groove as playing and moves its playhead until the returned function is called.
  // `share` says how much of the groove has gone by.
  function follow(field, button, share) {
    const draw = () => field.style.setProperty("--at", Math.min(Math.max(share(), 0), 1));
    let frame = 0;
    const loop = () => {
      draw();
      frame = requestAnimationFrame(loop);
    };
    const timer = calm.matches ? setInterval(draw, 250) : 0;
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

  // Cards: rendered sound in <audio> elements.

  function playCard(card, button) {
    stop();
    const audio = card.querySelector("audio");
    const { lead, seconds } = card.dataset;
    audio.currentTime = 0;
    const unfollow = follow(
      card.querySelector(".field"), button, () => (audio.currentTime - lead) / seconds);
    const end = () => {
      stop = idle;
      audio.pause();
      audio.onended = null;
      unfollow();
    };
    stop = end;
    audio.onended = end;
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // stopped before it began
      end();
      tell(`This browser cannot play the sound: ${error.message}`);
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".card .play");
    if (!button) return;
    const isPlaying = button.getAttribute("aria-pressed") === "true";
    if (isPlaying) stop();
    else playCard(button.closest(".card"), button);
  });

  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      const template = details.querySelector("template");
      // A copy, since an <audio> that was in a template has already failed to load there.
      if (template) template.replaceWith(document.importNode(template.content, true));
    });
  }

  // The map: hits played by Web Audio, from a sound for each drum.

  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const versions = {};
  for (const name of ["original", "reconstruction"]) {
    let first = 0;
    const hits = bytes(data[name].hits);
    versions[name] = data[name].counts.map((count) => {
      const some = [];
      for (const end = first + count; first < end; first++) {
        const [step, drum, velocity, late] = hits.subarray(4 * first, 4 * first + 4);
        some.push({ step, drum, velocity, late: (late - 128) / 127 / 2 });
      }
      return some;
    });
  }

  const plane = document.querySelector(".plane svg");
  const points = [...document.querySelectorAll("#map-points use")];
  const places = points.map((point) => [point.x.baseVal.value, point.y.baseVal.value]);
  const chosenRing = ring("chosen-point", 6);
  const focusRing = ring("focused-point", 9); // for those who use the keyboard
  let current = 0; // the one that Tab reaches
  let chosen = 0;
  let context, shots;

  function ring(id, radius) {
    const circle = document.createElementNS(plane.namespaceURI, "circle");
    circle.id = id;
    circle.setAttribute("r", radius);
    circle.setAttribute("visibility", "hidden");
    points[0].parentNode.after(circle);
    return circle;
  }

  function put(circle, number) {
    circle.setAttribute("cx", places[number][0]);
    circle.setAttribute("cy", places[number][1]);
    circle.removeAttribute("visibility");
  }

  const version = () => document.querySelector("input[name=version]:checked").value;

  function hitsOf(number) {
    return versions[version()][number];
  }

  function decoded() {
    shots ||= Promise.all(data.shots.map((uris) => Promise.all(
      uris.map((uri) => context.decodeAudioData(bytes(uri.split(",")[1]).buffer)))));
    return shots;
  }

  function nearestShot(velocity) {
    const distance = (i) => Math.abs(data.shotVelocities[i] - velocity);
    return data.shotVelocities.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0);
  }

  // Schedules all hits; a closed hi-hat ends what the open one left ringing.
  function schedule(hits, sounds, begin, stepSeconds, output) {
    let open = null;
    const at = (hit) => begin + (hit.step + hit.late) * stepSeconds;
    for (const hit of [...hits].sort((a, b) => at(a) - at(b))) {
      const shot = nearestShot(hit.velocity);
      const source = new AudioBufferSourceNode(context, { buffer: sounds[hit.drum][shot] });
      const gain = new GainNode(context, { gain: hit.velocity / data.shotVelocities[shot] });
      source.connect(gain).connect(output);
      source.start(at(hit));
      if (open && (hit.drum === data.closedHihat || hit.drum === data.openHihat)) {
        open.gain.setTargetAtTime(0, at(hit), 0.02);
        open = null;
      }
      if (hit.drum === data.openHihat) open = gain;
    }
  }

  async function playPoint(number) {
    stop();
    if (!data.shots.length) return;
    let wanted = true;
    stop = () => {
      stop = idle;
      wanted = false;
    };
    context ||= new AudioContext();
    try {
      await context.resume();
      const sounds = await decoded();
      if (wanted) playHits(hitsOf(number), sounds, 60 / data.points[number].qpm / 4);
    } catch (error) {
      if (wanted) stop();
      tell(`This browser cannot play the sound: ${error.message}`);
    }
  }

  function playHits(hits, sounds, stepSeconds) {
    const output = new GainNode(context);
    output.connect(context.destination);
    const begin = context.currentTime + 0.05 + stepSeconds / 2; // the first may be half a step early
    schedule(hits, sounds, begin, stepSeconds, output);
    const seconds = data.steps * stepSeconds;
    const share = () => (context.currentTime - begin) / seconds;
    const unfollow = follow(document.querySelector("#point .field"), $("point-play"), share);
    const timer = setTimeout(() => stop(), (begin + seconds + 1 - context.currentTime) * 1000);
    stop = () => {
      stop = idle;
      clearTimeout(timer);
      output.disconnect();
      unfollow();
    };
  }

  // As rolls.py has it; `original` is null for the original itself.
  function describe(hits, original) {
    const counts = data.drums
      .map((name, drum) => [name, hits.filter((hit) => hit.drum === drum).length])
      .filter(([, count]) => count)
      .map(([name, count]) => `${name} ${count}`);
    const told = `${hits.length} hits in ${data.steps / 16} bars` +
      `${counts.length ? ": " : ""}${counts.join(", ")}`;
    if (!original) return told;
    const without = (some, others) => some.filter((one) =>
      !others.some(({ step, drum }) => step === one.step && drum === one.drum)).length;
    return `${told}; missed ${without(original, hits)}, added ${without(hits, original)}`;
  }

  // As rolls.py draws it.
  function drawRoll(hits, original) {
    const [softest, loudest] = data.heights;
    const paths = new Map(data.feels.map(([, name]) => [name, ""]));
    for (const { step, drum, velocity, late } of hits) {
      const [, name] = data.feels.find(([limit]) => late < limit);
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

  function focusOn(number) {
    points[current].setAttribute("tabindex", "-1");
    current = number;
    points[current].setAttribute("tabindex", "0");
  }

  function choose(number) {
    const point = data.points[number];
    focusOn(number);
    chosen = number;
    put(chosenRing, number);
    points.forEach((each, i) => each.setAttribute("aria-pressed", String(i === number)));
    $("hint").hidden = true;
    $("chosen").hidden = false;
    $("point-style").textContent = point.style;
    $("point-file").textContent = data.files[point.file];
    $("point-bar").textContent = point.bar;
    $("point-tempo").textContent = `${Number(point.qpm.toFixed(1))} bpm`;
    drawRoll(hitsOf(number), version() === "original" ? null : versions.original[number]);
    playPoint(number);
  }

  // The nearest point within `reach`, by what `distance` makes of the way to it in x and y.
  function nearest(x, y, reach, distance) {
    let found = -1;
    places.forEach(([px, py], i) => {
      const away = distance(px - x, py - y);
      if (away < reach) [found, reach] = [i, away];
    });
    return found;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // What lies ahead counts; what lies to the side is twice as far.
  function neighbour([dx, dy]) {
    const [x, y] = places[current];
    return nearest(x, y, Infinity, (px, py) => {
      const ahead = px * dx + py * dy;
      const aside = Math.abs(px * dy) + Math.abs(py * dx);
      return ahead > 0 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
    });
  }

  function onKey(event) {
    if (event.key === "Enter" || event.key === " ") {
      choose(current);
    } else if (ARROWS[event.key]) {
      const next = neighbour(ARROWS[event.key]);
      if (next < 0) return;
      focusOn(next);
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
    if (number >= 0) choose(number);
  }

  points.forEach((point, i) => {
    const { style, file, bar } = data.points[i];
    point.setAttribute("role", "button");
    point.setAttribute("tabindex", i ? "-1" : "0");
    point.setAttribute("aria-label", `${style}, ${data.files[file]}, bar ${bar}`);
    point.addEventListener("focus", () => {
      focusOn(i);
      if (point.matches(":focus-visible")) put(focusRing, i);
    });
    point.addEventListener("blur", () => focusRing.setAttribute("visibility", "hidden"));
  });
  plane.setAttribute("role", "group");
  plane.addEventListener("keydown", onKey);
  plane.addEventListener("click", onClick);

  const styles = [...document.querySelectorAll(".styles button")];
  for (const button of styles) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      styles.forEach((each) => each.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!pressed));
      const colour = pressed ? null : Number(button.dataset.colour);
      points.forEach((point, i) =>
        point.classList.toggle("away", colour !== null && data.points[i].colour !== colour));
    });
  }

  for (const input of document.querySelectorAll("input[name=version]")) {
    input.addEventListener("change", () => choose(chosen));
  }
  $("point-play")?.addEventListener("click", () => {
    if ($("point-play").getAttribute("aria-pressed") === "true") stop();
    else playPoint(chosen);
  });
})();
