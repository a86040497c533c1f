// A bot: it answers who asks a question. SESSION=a-secret node bot.js ws://localhost:8080/ws
import { connect } from 'natterjack';

const [, , url, user = 'oracle'] = process.argv;
const chat = connect(url, { user, session: process.env.SESSION, token: process.env.TOKEN });
const lobby = await chat.join('lobby');
lobby.on('chat', ({ userId, text }) => {
  if (userId !== chat.user && text.endsWith('?')) lobby.say(`${userId}: “${text}” Ask again later.`).catch(console.error);
});
await lobby.say('Ask me something.');
