// Shows bytes in a line: escaped where they cannot be read, their number where they are many.
module.exports = (bytes) => {
  const buffer = Buffer.from(bytes);
  if (buffer.length > 1000) return `${buffer.length} bytes`;
  return buffer.toString('latin1').replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
};
