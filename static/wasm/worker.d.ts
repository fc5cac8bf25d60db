// What is there before the scripts of workers begin.

/** The page, and what it loads, relative to sw.js: the server puts it before sw.js. */
declare const FILES: string[];
declare const VERSION: string;

/** From Go's wasm_exec.js, which is put before worker.js. */
declare class Go {
  argv: string[];
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}
