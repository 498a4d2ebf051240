// Pictures that go with a message: chosen, pasted or dropped. Read here, sent as base64.

export const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
export const MOST_BYTES = 5 * 1024 * 1024;

/**
 * @typedef {{kind: "image", media: string, data: string, name: string}} Image
 * @param {Iterable<File>} files
 * @returns {Promise<{images: Image[], refused: [string, string][]}>} `refused`: why ("type" or "size") and the file's name
 */
export async function read(files) {
  /** @type {Image[]} */
  const images = [];
  /** @type {[string, string][]} */
  const refused = [];
  for (const file of files) {
    if (!TYPES.includes(file.type)) refused.push(["type", file.name]);
    else if (file.size > MOST_BYTES) refused.push(["size", file.name]);
    else images.push({ kind: "image", media: file.type, data: await base64(file), name: file.name });
  }
  return { images, refused };
}

/** @param {Blob} file @returns {Promise<string>} */
function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",", 2)[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
