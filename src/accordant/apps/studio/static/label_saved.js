// The page that says there is nothing left also says what was saved last.

import { show } from "./label/saved.js";

show(document.getElementById("toast"));
