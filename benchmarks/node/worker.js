// The usual Node worker: amqplib, ioredis, Handlebars compiled once, nodemailer with its pool, insertOne.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import amqplib from "amqplib";
import Handlebars from "handlebars";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import nodemailer from "nodemailer";

const env = process.env;

const read = (name) => readFileSync(join(env.BENCH_MATERIAL, name), "utf-8");
const templates = new Map(
  env.BENCH_KINDS.split(",").map((kind) => [
    kind,
    {
      subject: read(`${kind}.subject`),
      text: Handlebars.compile(read(`${kind}.txt`), { noEscape: true }),
      html: Handlebars.compile(read(`${kind}.html`)),
    },
  ]),
);

const redis = new Redis(env.REDIS_URL);
const mongo = await new MongoClient(env.MONGODB_URI).connect();
const audit = mongo.db(env.MONGODB_DATABASE).collection(env.BENCH_AUDIT);
const transport = nodemailer.createTransport({
  pool: true,
  maxConnections: Number(env.BENCH_CONNECTIONS),
  maxMessages: Infinity,
  host: env.SMTP_SERVER,
  port: Number(env.SMTP_PORT),
  secure: false,
  requireTLS: true,
  auth: { user: env.SMTP_USERNAME, pass: env.SMTP_PASSWORD },
  tls: { ca: readFileSync(env.SMTP_CA_FILE) },
});

async function notify(event) {
  if ((await redis.set(`sent:${event.event_id}`, "1", "EX", 86400, "NX")) === null) return;
  const recipient = event.user_email ?? "jane.smith@example.com";
  const template = templates.get(event.event_type);
  const sent = await transport.sendMail({
    from: { name: env.FROM_NAME, address: env.FROM_EMAIL },
    to: recipient,
    subject: template.subject,
    text: template.text(event),
    html: template.html(event),
  });
  await audit.insertOne({
    event_id: event.event_id,
    event_type: event.event_type,
    recipient,
    message_id: sent.messageId,
    outcome: "sent",
    sent_at: new Date(),
  });
}

const connection = await amqplib.connect(env.RABBITMQ_URL);
const channel = await connection.createChannel();
await channel.prefetch(Number(env.BENCH_PREFETCH));
for (const queue of env.BENCH_QUEUES.split(",")) {
  await channel.consume(queue, async (message) => {
    await notify(JSON.parse(message.content.toString()));
    channel.ack(message);
  });
}

process.on("SIGTERM", () => process.exit(0));
