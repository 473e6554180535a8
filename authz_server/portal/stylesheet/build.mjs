// Writes ../../static/mydata.css. The first line names the source's digest, by which a test sees that the committed
// stylesheet is the compiled one without needing Node.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile } from "sass";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const digest = createHash("sha256").update(readFileSync(here("mydata.scss"))).digest("hex");
const { css } = compile(here("mydata.scss"), { style: "compressed", loadPaths: [here("node_modules")] });
const notice =
  `/*! mydata.scss sha256:${digest}; contains parts of govuk-frontend 6.6.0, ` +
  "Copyright (C) 2017 Crown Copyright (Government Digital Service), MIT licence */\n";
writeFileSync(here("../../static/mydata.css"), notice + css.replace(/^\uFEFF/, "") + "\n");
