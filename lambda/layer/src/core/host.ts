/** A name or an address, and perhaps a port: nothing that would begin another part of a URL. */
export const isHost = (text: string): boolean => /^[\w.:[\]-]+$/.test(text);
