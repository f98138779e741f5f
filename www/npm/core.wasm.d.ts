/** The address of the wasm file, as bundlers give it for an imported file. */
declare const address: string;
export default address;
