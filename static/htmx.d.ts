// What the scripts rely on of htmx 4.0.1 and its extension hx-ws (vendor/htmx), and what live.js
// and replica.js offer each other. A new version of htmx is read against this.

import type { Answer } from './tab/message.js';
import type { Op } from './tab/outbox.js';
import type { Cast } from './tab/casts.js';
import type { Post } from './tab/post.js';
import type { Renderer } from './live.js';
import type { Versions } from './tab/versions.js';

declare global {
  const htmx: {
    /** Initialises an element and all below it; with force again. */
    process(element: Element, force?: boolean): void;
    registerExtension(name: string, extension: HtmxExtension): void;
    swap(options: HtmxSwap): Promise<void>;
  };

  interface HtmxSwap {
    sourceElement?: Element;
    target: string;
    text: string;
    swap: string;
    transition: boolean;
  }

  /** What htmx offers extensions. */
  interface HtmxApi {
    initSecurity(policy?: HtmxPolicy): void;
    /** Does a swap; without a pause in its swapSpec it is done when this returns. */
    insertContent(task: HtmxTask): Promise<void>;
    /** Has an element become like the one in a fragment, in place, or what is in it. */
    morph(element: Element, fragment: DocumentFragment, inner: boolean): void;
  }

  /** One part of the page that is to be swapped. */
  interface HtmxTask {
    type: string;
    /** A selector, or the element. */
    target: string | Element | null;
    fragment: DocumentFragment;
    /** More may stand in it, for the extension that has made it. touched: all that has changed. */
    swapSpec: { style: string; touched?: Element[] };
    sourceElement?: Element;
  }

  /** A method is called for the event of its name; false cancels what the event announces. */
  interface HtmxExtension {
    init?(api: HtmxApi): void;
    /** A message has a tag <hx-list>: what it brings is added to the tasks. */
    htmx_process_list?(
      tag: HTMLTemplateElement,
      detail: { ctx: { sourceElement?: Element }; tasks: HtmxTask[] },
    ): void;
    /**
     * Does a swap whose style htmx does not know, and returns what is new on the page; or false:
     * the style is not its own.
     */
    handle_swap?(
      style: string,
      target: Element,
      fragment: DocumentFragment,
      swapSpec: HtmxTask['swapSpec'],
    ): false | Element[];
    /** An element and all below it are initialised. */
    htmx_after_process?(element: Element): void;
    /** All that a message brings is about to be swapped. */
    htmx_before_swap?(element: Element): void;
    /** An element of the page is about to become like the one that has come; false: it is. */
    htmx_before_morph_node?(element: Element, detail: { newNode: Element }): false | void;
    /** A target has its new content; nothing has happened since that. */
    htmx_before_settle?(target: Element, detail: { task: HtmxTask }): void;
    /** An attempt to connect is to be made. */
    htmx_ws_before_connection?(element: Element, detail: { connection: HxWsConnection }): void;
    /** A socket is open. */
    htmx_ws_after_connection?(element: Element, detail: { connection: HxWsConnection }): void;
    /** A socket was closed. hx-ws decides after this whether and when to connect again. */
    htmx_ws_close?(element: Element, detail: HxWsClose): void;
    htmx_ws_before_message_outgoing?(
      element: Element,
      detail: { message: HxWsOutgoing },
    ): false | void;
    htmx_ws_before_message_incoming?(
      element: Element,
      detail: { message: { data: unknown } },
    ): false | void;
    /** What a message has brought is on the page. */
    htmx_ws_after_message_incoming?(element: Element): void;
    /**
     * A click is lost that was made without a connection object: it has a url. Or a socket has
     * failed, or what a message has brought could not be put on the page.
     */
    htmx_ws_error?(
      element: Element,
      detail: { connection?: HxWsConnection; url?: string | null },
    ): void;
  }

  interface HxWsClose {
    connection: HxWsConnection;
    /** null: hx-ws closes it. */
    code: number | null;
  }

  interface HxWsOutgoing {
    values: Record<string, unknown>;
    /** What is sent; undefined: the values. */
    data: string | undefined;
  }

  /** What hx-ws keeps at the element with hx-ws:connect, and reads anew whenever it needs it. */
  interface HxWsConnection {
    /** Where the next attempt connects to. */
    url: string;
    socket: WebSocket | null;
    /** Attempts since a socket was open. The pause before the next doubles with each. */
    attempt: number;
    /** Connects when the pause is over. */
    timer: number | null;
    /** Messages that wait for a socket. */
    queue: unknown[];
    config: {
      /** Of the first pause, in milliseconds. Read when a socket has closed. */
      reconnectDelay: number;
      /** A hidden page has no connection. Read before the first socket, and when one has closed. */
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

  /** What live.js says of ops, at the element with hx-ws:connect. */
  interface HTMLElementEventMap {
    /** The outbox has an op. sender is what it comes from; none: a closed page has left it. */
    'op:kept': CustomEvent<{ op: Op; sender?: Element }>;
    /**
     * An op has its answer; null: another page had it. Whoever shows a refusal prevents the
     * default, which is to show its reason in the notice.
     */
    'op:answered': CustomEvent<{ op: Op; answer: Answer | null }>;
    /** Something of the ops that wait may have changed: how many they are, or how they are kept. */
    'op:changed': CustomEvent<null>;
    /** Another page is in the place of the one that was shown: see nav.js. */
    'page:changed': CustomEvent<null>;
  }

  interface HTMLElement {
    /**
     * Has a renderer render this tab as soon as there is a state: there is one with begins. null:
     * the server renders.
     */
    renderWith?(renderer: Renderer | null, begins?: boolean): void;
    /** Sends what may be lost, not too often; the newest of each name on each topic wins. */
    cast?(cast: Cast): void;
    /** Connects anew at once. */
    reconnect?(): void;
    /** Has new sockets go over plain HTTP, until a real one works: see plain.js. */
    usePlain?(): void;
    /** Looks after ops that this page may not send: see others.js. */
    others?(): void;
    /** Lists can be shown: list.js is there. */
    lists?: boolean;
    /** The ops that have no answer yet. */
    post?: Post;
    /** How new what it shows is. */
    versions?: Versions;
    /** The page shows the rooms of another now, whose socket and grants these are: see nav.js. */
    rooms?(socket: string, grants: Record<string, string>): void;
    /** What makes HTML of what a server has rendered. */
    policy?: { createHTML(html: string): string };
  }

  interface Window {
    /** W3C Trusted Types. What they make is typed as the text that it stands for. */
    trustedTypes?: { createPolicy<Rules>(name: string, rules: Rules): Rules };
  }
}
