// Simple drums made of tones and noise, for an installation that cannot render a soundfont.

// By drum: the time to fade out, the pitch at the start and at the end, and the share of noise.
// `bright` noise has no low frequencies.
const DRUMS = [
  { seconds: 0.4, pitch: [150, 46], noise: 0.03 }, // kick
  { seconds: 0.22, pitch: [240, 180], noise: 0.6 }, // snare
  { seconds: 0.07, noise: 0.6, bright: true }, // closed hi-hat
  { seconds: 0.5, noise: 0.6, bright: true }, // open hi-hat
  { seconds: 0.5, pitch: [125, 80], noise: 0.05 }, // low tom
  { seconds: 0.42, pitch: [165, 110], noise: 0.05 }, // mid tom
  { seconds: 0.36, pitch: [215, 145], noise: 0.05 }, // high tom
  { seconds: 1.6, noise: 0.7, bright: true }, // crash
  { seconds: 1.1, pitch: [540, 540], noise: 0.35, bright: true }, // ride
];
const FADE = Math.log(1000); // 60 dB

export const NUM_DRUMS = DRUMS.length;

export function synthesize(context, drum) {
  const { seconds, pitch = null, noise, bright = false } = DRUMS[drum];
  const { sampleRate } = context;
  const length = Math.ceil(seconds * sampleRate);
  const buffer = new AudioBuffer({ length, sampleRate });
  const samples = buffer.getChannelData(0);
  const random = seeded(drum + 1);
  let [phase, last] = [0, 0];
  for (let i = 0; i < length; i++) {
    const share = i / length;
    if (pitch) {
      const hertz = pitch[1] + (pitch[0] - pitch[1]) * (1 - share) ** 8;
      phase += (2 * Math.PI * hertz) / sampleRate;
    }
    const now = random();
    const hiss = bright ? (now - last) / 1.5 : now;
    last = now;
    const tone = pitch ? (1 - noise) * Math.sin(phase) : 0;
    samples[i] = 0.7 * Math.exp(-FADE * share) * (tone + noise * hiss);
  }
  return buffer;
}

// Random numbers from -1 to 1, the same each time.
function seeded(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
}
