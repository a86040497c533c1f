// Rooms with node's `ws`: says `Welcome NAME!` to who comes and `NAME: text` to everybody else in the
// room; no notices, no limits.
const { WebSocketServer, WebSocket } = require("ws");

const [host, port] = process.argv[2].split(":");
const rooms = new Map();
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, perMessageDeflate: false });

server.on("connection", (peer, request) => {
  const [path, query] = request.url.split("?");
  const name = path.split("/").pop();
  if (!rooms.has(query)) rooms.set(query, new Set());
  const room = rooms.get(query);
  room.add(peer);
  peer.send(`Welcome ${name}!`);
  peer.on("message", (text) => {
    const line = Buffer.concat([Buffer.from(`${name}: `), text]);
    for (const other of room) {
      if (other !== peer && other.readyState === WebSocket.OPEN) other.send(line, { binary: false });
    }
  });
  peer.on("close", () => room.delete(peer));
  peer.on("error", () => {});
});
