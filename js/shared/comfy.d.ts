// What the pack uses of ComfyUI's page, as frontends 1.47 to 1.58 have it. Optional members are missing in some of them.

export interface Widget {
  name: string;
  value: any;
  serialize?: boolean;
  /** Value that is queued in place of `value`. */
  serializeValue?: () => unknown;
  options?: { values?: unknown; getOptionLabel?: (value: string | null) => string };
  callback?: (value: any) => void;
  onRemove?: () => void;
  /** Of a DOM widget. */
  element?: HTMLElement;
}

export interface Slot {
  name: string;
  type?: string;
  link?: number | null;
  widget?: { name: string };
}

export interface Link {
  origin_id: number | string;
  origin_slot: number;
  target_id: number | string;
  target_slot: number;
}

/** An image as ComfyUI's nodes name it. */
export interface ImageFile {
  filename: string;
  subfolder: string;
  type: string;
}

export interface Graph {
  id?: string;
  _nodes: GraphNode[];
  /** Of a subgraph. */
  inputs?: { name: string }[];
  outputs?: { name: string; linkIds?: number[] }[];
  getLink?(id: number | null | undefined): Link | undefined;
  getNodeById(id: number | string): GraphNode | null;
  add?(node: GraphNode): void;
}

export interface GraphNode {
  id: number | string;
  comfyClass?: string;
  type?: string;
  mode: number;
  size: [number, number];
  graph: Graph | null;
  subgraph?: Graph;
  widgets?: Widget[];
  inputs?: Slot[];
  outputs?: { name: string; type?: string; links?: number[] | null }[];
  pos: [number, number];
  connect?(slot: number, target: GraphNode, targetSlot: number): void;
  images?: ImageFile[];
  properties: Record<string, any>;
  computeSize(): [number, number];
  setSize(size: [number, number]): void;
  setDirtyCanvas?(foreground: boolean, background?: boolean): void;
  addWidget(type: string, name: string, value: unknown, callback: () => void, options?: { serialize?: boolean }): Widget;
  addDOMWidget(name: string, type: string, element: HTMLElement, options: object): Widget;
  onConfigure?: (data: any) => void;
  onConnectionsChange?: (...change: any[]) => void;
  onExecuted?: (output: any) => void;
  onRemoved?: () => void;
}

interface ChangeTracker {
  captureCanvasState?(): void;
  checkState?(): void;
}

interface Extension {
  name: string;
  setup?(): void;
  nodeCreated?(node: GraphNode): void;
  afterConfigureGraph?(): void;
  getNodeMenuItems?(node: GraphNode): { content: string; callback: () => void }[];
}

export const app: {
  graph: Graph;
  rootGraph?: Graph;
  canvas: { graph?: Graph; processMouseWheel?(event: WheelEvent): void };
  nodeOutputs?: Record<string, Record<string, any> | undefined>;
  extensionManager: {
    setting?: { get(name: string): any };
    workflow?: { activeWorkflow?: { changeTracker?: ChangeTracker } };
  };
  registerExtension(extension: Extension): void;
  /** Opens a file in API form. */
  loadApiJson?(prompt: Record<string, { inputs?: Record<string, unknown> }>, ...more: any[]): void | Promise<void>;
  /** Queues the graph, or those of its nodes. */
  queuePrompt(number: number, batchCount: number, nodes?: string[]): Promise<boolean>;
};

export const api: {
  fetchApi(path: string, options?: RequestInit): Promise<Response>;
  apiURL(path: string): string;
  addEventListener(name: string, listener: (event: CustomEvent) => void, options?: { capture?: boolean }): void;
};
