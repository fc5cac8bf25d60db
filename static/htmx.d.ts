// What the scripts rely on of htmx 4.0.1 and its extension hx-ws (vendor/htmx), and what live.js and
// replica.js offer each other. A new version of htmx is read against this.

import type { Click } from './tab/outbox.js';
import type { Renderer } from './live.js';

declare global {
  const htmx: {
    /** Initialises an element and all below it; with force again. */
    process(element: Element, force?: boolean): void;
    registerExtension(name: string, extension: HtmxExtension): void;
    swap(options: { target: string; text: string; swap: string; transition: boolean }): Promise<void>;
  };

  /** A method is called for the event of its name; false cancels what the event announces. */
  interface HtmxExtension {
    init?(api: { initSecurity(policy?: HtmxPolicy): void }): void;
    /** The socket is open, and attempt still the number of attempts that it took. */
    htmx_ws_after_connection?(element: Element, detail: { connection: HxWsConnection }): void;
    /** A socket was closed. hx-ws counts attempt up after this, if the code is one to connect again after. */
    htmx_ws_close?(element: Element, detail: { connection: HxWsConnection; code: number | null }): void;
    htmx_ws_before_message_outgoing?(element: Element, detail: { message: HxWsOutgoing }): false | void;
    htmx_ws_before_message_incoming?(element: Element, detail: { message: { data: unknown } }): false | void;
    /** A click without a connection object, which is lost then, has a url and no connection. */
    htmx_ws_error?(element: Element, detail: { connection?: HxWsConnection; url?: string | null }): void;
  }

  interface HxWsOutgoing {
    values: Record<string, unknown>;
    /** What is sent; undefined: the values. */
    data: string | undefined;
  }

  /** What hx-ws keeps at the element with hx-ws:connect, and reads anew whenever it needs it. */
  interface HxWsConnection {
    socket: WebSocket | null;
    /** Attempts since a socket was open. The pause before the next doubles with each. */
    attempt: number;
    /** Connects when the pause is over. */
    timer: number | null;
    /** Messages that wait for a socket. */
    queue: unknown[];
    /** Listens to visibilitychange. Connects at once if the page is visible and there is no socket. */
    visibilityHandler: (() => void) | null;
    config: {
      pauseOnBackground: boolean;
      /** The connection object is dropped after any other code. */
      reconnectCodes: (number | null)[];
    };
  }

  interface HtmxPolicy {
    createHTML(html: string): string;
    createScript?(script: string): string;
  }

  interface Element {
    _htmx?: { ws?: { connection?: HxWsConnection } };
  }

  interface HTMLElement {
    /** Has a renderer render this tab as soon as there is a state; null: the server. */
    renderWith?(renderer: Renderer | null): void;
    /** The clicks that have no answer yet. */
    waiting?(): Click[];
  }

  interface Window {
    /** https://w3c.github.io/trusted-types. What it makes is typed as the text that it stands for. */
    trustedTypes?: { createPolicy<Rules>(name: string, rules: Rules): Rules };
  }
}
