// Asks a running server with the vendors' clients; one JSON object per case and line.
//   BASE=http://127.0.0.1:8000 node clients.mjs PICTURE.png
import { readFile } from 'node:fs/promises';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { GoogleGenAI } from '@google/genai';
import { generateImage, generateText } from 'ai';
import OpenAI, { toFile } from 'openai';

const base = process.env.BASE;
const blocked = 'explicit photo of a naked woman having sex';
const picture = await readFile(process.argv[2]);
const url = `data:image/png;base64,${picture.toString('base64')}`;
const file = () => toFile(picture, 'a.png', { type: 'image/png' });
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: base } });
const aiOpenai = createOpenAI({ baseURL: `${base}/v1`, apiKey: 'unused' });
const aiGoogle = createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey: 'unused' });

const cases = {
  'openai: generate': async () => {
    const made = await openai.images.generate({
      model: 'gpt-image-2', prompt: 'a red apple', n: 2, size: '512x512',
    });
    return [made.data.length, made.size, made.usage.output_tokens];
  },
  'openai: edit': async () => {
    const image = await file();
    return (await openai.images.edit({ model: 'gpt-image-2', image, prompt: 'a lake' })).data.length;
  },
  'openai: several pictures': async () => {
    const image = [await file(), await file()];
    return (await openai.images.edit({ model: 'gpt-image-2', image, prompt: 'a lake' })).data.length;
  },
  'openai: stream': async () => {
    const kinds = [];
    const stream = await openai.images.generate({
      model: 'gpt-image-2', prompt: 'a red apple', stream: true, partial_images: 1,
    });
    for await (const event of stream) kinds.push(event.type);
    return kinds;
  },
  'openai: moderation': async () => {
    const input = [{ type: 'text', text: 'a hill' }, { type: 'image_url', image_url: { url } }];
    return (await openai.moderations.create({ input })).results.length;
  },
  'openai: responses': async () => {
    const tools = [{ type: 'image_generation' }];
    const first = await openai.responses.create({ model: 'gpt-5.5', input: 'a red apple', tools });
    const next = await openai.responses.create({
      model: 'gpt-5.5', input: 'make it blue', tools, previous_response_id: first.id,
    });
    return next.output.map((one) => [one.type, one.action]);
  },
  'openai: upload in parts, named by its file': async () => {
    const begun = await openai.uploads.create({
      bytes: picture.length, filename: 'a.png', mime_type: 'image/png', purpose: 'vision',
    });
    const middle = picture.length >> 1;
    const part_ids = [];
    for (const piece of [picture.subarray(0, middle), picture.subarray(middle)]) {
      const data = await toFile(piece, 'part');
      part_ids.push((await openai.uploads.parts.create(begun.id, { data })).id);
    }
    const { status, file: { id } } = await openai.uploads.complete(begun.id, { part_ids });
    const said = await openai.responses.create({
      model: 'gpt-5.5', tools: [{ type: 'image_generation' }],
      input: [{ role: 'user', content: [
        { type: 'input_text', text: 'a lake' }, { type: 'input_image', file_id: id },
      ] }],
    });
    const again = await openai.responses.retrieve(said.id);
    return [status, again.output[0].result === said.output[0].result, said.output[0].action];
  },
  'openai: chat': async () => {
    const messages = [{ role: 'user', content: 'a red apple' }];
    const said = await openai.chat.completions.create({ model: 'gpt-image-2', messages });
    return said.choices[0].message.images.length;
  },
  'openai: refused': async () => {
    await openai.images.generate({ model: 'gpt-image-2', prompt: blocked });
  },
  'genai: generate': async () => {
    const said = await google.models.generateContent({
      model: 'gemini-3-pro-image', contents: 'a red apple',
      config: { imageConfig: { aspectRatio: '16:9', imageSize: '512' } },
    });
    return said.candidates[0].content.parts.map((part) => part.inlineData.mimeType);
  },
  'genai: conversation': async () => {
    const chat = google.chats.create({ model: 'gemini-3-pro-image' });
    const reasons = [];
    for (const message of ['a red apple', 'make it blue', 'make it pink']) {
      reasons.push((await chat.sendMessage({ message })).candidates[0].finishReason);
    }
    return reasons;
  },
  'genai: stream': async () => {
    let chunks = 0;
    const stream = await google.models.generateContentStream({
      model: 'gemini-3-pro-image', contents: 'a red apple',
    });
    for await (const chunk of stream) chunks += chunk.candidates.length;
    return chunks;
  },
  'genai: interactions': async () => {
    const model = 'gemini-3-pro-image';
    const first = await google.interactions.create({ model, input: 'a red apple' });
    const next = await google.interactions.create({
      model, input: 'make it blue', previous_interaction_id: first.id, stream: true,
    });
    const kinds = [];
    for await (const event of next) kinds.push(event.event_type);
    return [first.status, ...kinds];
  },
  'genai: refused': async () => {
    const said = await google.models.generateContent({
      model: 'gemini-3-pro-image', contents: blocked,
    });
    return said.promptFeedback.blockReason;
  },
  'ai, openai: image': async () => {
    const model = aiOpenai.image('gpt-image-2');
    return (await generateImage({ model, prompt: 'a red apple', n: 2, size: '512x512' })).images.length;
  },
  'ai, openai: edit': async () => {
    const model = aiOpenai.image('gpt-image-2');
    return (await generateImage({ model, prompt: { text: 'a lake', images: [picture] } })).images.length;
  },
  'ai, google: image': async () => {
    const model = aiGoogle.image('gemini-3-pro-image');
    return (await generateImage({ model, prompt: 'a red apple' })).images.length;
  },
  'ai, google: files of a text': async () => {
    const model = aiGoogle('gemini-3-pro-image');
    return (await generateText({ model, prompt: 'a red apple' })).files.map((one) => one.mediaType);
  },
};

for (const [name, ask] of Object.entries(cases)) {
  try {
    console.log(JSON.stringify({ name, said: (await ask()) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ name, code: error.code ?? error.status ?? error.name }));
  }
}
