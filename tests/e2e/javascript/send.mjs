// What a user of usesend-js does, with nothing changed but the address: node send.mjs <url> <key>
import { UseSend } from "usesend-js";

const [url, key] = process.argv.slice(2);
const usesend = new UseSend(key, url);
const email = {
  from: "Shop <shop@example.com>",
  to: ["ann@example.com", "ben@example.com"],
  replyTo: "desk@example.com",
  subject: "Your order",
  html: "<p>Your order is on its way.</p>",
  text: "Your order is on its way.",
  headers: { "X-Order": "4711" },
  attachments: [{ filename: "a.txt", content: Buffer.from("hello").toString("base64") }],
};

const once = { idempotencyKey: "javascript-1" };
const sent = await usesend.emails.send(email, once);
const again = await usesend.emails.send(email, once);
const other = await usesend.emails.send({ ...email, subject: "Another order" }, once);
const batch = await usesend.emails.batch([
  { ...email, subject: "1" },
  { ...email, subject: "2" },
]);
const refused = await usesend.emails.send({ ...email, to: "nobody" });
console.log(JSON.stringify({ sent, again, other, batch, refused }));
