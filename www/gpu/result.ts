/** The result as one JSON file; www/README.md says what its fields mean. */

export const SCHEMA = "semivq-gpu-test/1";

export interface Failure {
  module: string;
  name: string;
  message: string;
}

export interface Kernel {
  label: string;
  kernel: string;
  operations: number;
  least_bytes: number;
  seconds: number;
  share: number;
  of_gflops: number;
  of_gb_per_second: number;
}

interface Spread {
  median: number;
  min: number;
  max: number;
}

/** As `semivq bench --json` prints it, too. */
export interface Bench {
  clock: "timestamps" | "host";
  ceilings: { gflops: number; gb_per_second: number };
  steps: {
    method: string; batch: number; dispatches: number; gflop: number; first_step: number; step: Spread; steps_of_block: number;
    kernels: Kernel[];
  }[];
  searches: { vectors: number; features: number; codes: number; time: Spread; gflop: number; extra_bytes: number; kernels: Kernel[] }[];
}

export interface Adapter {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  software: boolean;
}

export interface Result {
  schema: typeof SCHEMA;
  semivq: string;
  date: string;
  user_agent: string;
  adapter: Adapter;
  limits: Record<string, number>;
  features: string[];
  ended: "complete" | "stopped" | "error";
  /** What was running when it did not end as it should, and the error that ended it. */
  ended_at?: string;
  error?: string;
  seconds: number;
  tests: { total: number; passed: number; failed: Failure[] };
  /** Stages of the bench that failed, too. */
  bench: Partial<Bench> & { failed: Failure[] };
}

export function describeAdapter({ info, limits, features }: GPUAdapter): Pick<Result, "adapter" | "limits" | "features"> {
  const { vendor, architecture, device, description } = info;
  // They are getters of the prototype.
  const names = Object.keys(Object.getPrototypeOf(limits) as object) as (keyof GPUSupportedLimits)[];
  return {
    adapter: { vendor, architecture, device, description, software: info.isFallbackAdapter },
    limits: Object.fromEntries(names.map((name) => [name, limits[name]]).filter(([, value]) => typeof value === "number")),
    features: [...features].sort(),
  };
}
