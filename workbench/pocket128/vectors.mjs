// Draws pictures of public sets as PNG files of 128 pixels: `avatars` to measure the VAE on, `emoji` for it to learn from,
// `characters` to train on: one avatar with three mouths on the small model's six backgrounds.
// The README says which packages it needs and whom to thank for the drawings.
import fs from "node:fs";
import path from "node:path";
import { createAvatar } from "@dicebear/core";
import * as styles from "@dicebear/collection";
import { Resvg } from "@resvg/resvg-js";

const STYLES = [
  "adventurer", "avataaars", "bigEars", "bigSmile", "bottts", "micah", "miniavs", "openPeeps", "personas", "pixelArt",
  "toonHead",
];
const BACKGROUNDS = ["f5f5f5", "18181c", "40aaa5", "825c3c", "a0cdf5", "e8d6aa"];
const SEEDS = ["Felix", "Mira", "Oskar"];
const MOUTHS = {
  adventurer: ["variant01", "variant15", "variant30"], bottts: ["smile01", "grill01", "square01"],
  personas: ["smile", "frown", "surprise"],
};
const NAMED = { white: "f5f5f5", black: "18181c", teal: "40aaa5", brown: "825c3c", sky: "a0cdf5", sand: "e8d6aa" };
const EMOJI = "node_modules/@twemoji/svg";
const SKIN_TONE = /1f3f[b-f]/;

function write(folder, name, svg) {
  const picture = new Resvg(svg, { fitTo: { mode: "width", value: 128 } }).render();
  fs.writeFileSync(path.join(folder, `${name}.png`), picture.asPng());
}

function avatars(folder) {
  for (const style of STYLES)
    for (const seed of SEEDS)
      for (const background of BACKGROUNDS) {
        const avatar = createAvatar(styles[style], { seed, size: 128, backgroundColor: [background] });
        write(folder, `${style}-${seed}-${background}`, avatar.toString());
      }
}

function characters(folder) {
  for (const [style, mouths] of Object.entries(MOUTHS))
    for (const seed of SEEDS)
      for (const [index, mouth] of mouths.entries())
        for (const [name, color] of Object.entries(NAMED)) {
          const asked = { seed, size: 128, backgroundColor: [color], mouth: [mouth] };
          const avatar = createAvatar(styles[style], asked);
          write(folder, `${style}-${seed}-${["smile", "frown", "surprise"][index]}-${name}`, avatar.toString());
        }
}

function emoji(folder) {
  for (const file of fs.readdirSync(EMOJI))
    if (file.endsWith(".svg") && !SKIN_TONE.test(file))
      write(folder, path.parse(file).name, fs.readFileSync(path.join(EMOJI, file), "utf8"));
}

const kind = process.argv[2];
const draw = { avatars, emoji, characters }[kind];
if (!draw) throw new Error(`node vectors.mjs with avatars, emoji or characters, got ${kind}`);
fs.mkdirSync(kind, { recursive: true });
draw(kind);
