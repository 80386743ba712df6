// A client of chat.v1 that was written from docs/clients.md and nothing else. `startBot(host, room)` returns it.
'use strict';

const PASSING = new Set(['rate_limited', 'busy', 'room_full']);

class Bot {
  constructor(host, room) {
    this.host = host;
    this.room = room;
    this.events = [];
    this.gaps = [];
    this.recoveries = [];
    this.joins = 0;
    this.ended = null;
    this.position = null; // {offset, epoch} of the last event that was passed on
    this.posts = new Map(); // id -> {text, resolve, reject}: everything that has no ack yet
    this.live = false;
    this.failures = 0;
    this.hint = 0;
    this.numbers = 0;
    this.prefix = crypto.randomUUID();
  }

  // Getting in: a ticket for each handshake, since a page cannot read why a handshake failed.
  async connect() {
    let answer;
    try {
      answer = await fetch('/api/tickets', { method: 'POST' });
    } catch {
      return this.comeBack();
    }
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      if (answer.status < 500 && answer.status !== 429) return this.end(problem.reason);
      this.hint = Math.max(this.hint, problem.retry_after || 0);
      return this.comeBack();
    }
    const { ticket } = await answer.json();
    const socket = new WebSocket(`wss://${this.host}/ws/chat?token=${encodeURIComponent(ticket)}`, 'chat.v1');
    this.socket = socket;
    socket.onopen = () => {
      this.opened = Date.now();
      this.join();
      this.beats = setInterval(() => this.beat(), 5000);
    };
    socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    socket.onclose = (close) => this.closed(socket, close);
    return undefined;
  }

  say(verb) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(verb));
  }

  join() {
    const resume = this.position ? { after: this.position.offset, epoch: this.position.epoch } : {};
    this.say({ type: 'join', id: 'join', room: this.room, ...resume });
  }

  beat() {
    this.say({ type: 'ping', id: 'ping' });
    this.deaf = setTimeout(() => this.closed(this.socket, { code: 1006 }), 4000);
  }

  // Posts exactly once: the id stays until the ack, over any number of connections.
  post(text) {
    const id = `${this.prefix}-${++this.numbers}`;
    return new Promise((resolve, reject) => {
      this.posts.set(id, { text, resolve, reject });
      if (this.live) this.send(id);
    });
  }

  send(id) {
    const post = this.posts.get(id);
    if (post) this.say({ type: 'post', id, room: this.room, message: post.text });
  }

  receive(frame) {
    switch (frame.type) {
      case 'joined':
        return this.joined(frame);
      case 'ack':
        return this.acked(frame);
      case 'error':
        return this.refused(frame);
      case 'going_away':
        this.hint = frame.retry_after;
        return undefined;
      default:
        return this.event(frame);
    }
  }

  joined(frame) {
    if (this.live) return;
    if (this.position && !frame.recovered) this.gaps.push([this.position.offset, frame.offset]);
    this.joins += 1;
    this.recoveries.push(frame.recovered);
    this.position = { offset: frame.offset, epoch: frame.epoch };
    this.live = true;
    for (const id of this.posts.keys()) this.send(id);
  }

  event(frame) {
    const isEvent = ['room', 'offset', 'sender', 'timestamp'].every((name) => name in frame);
    if (!this.live || !isEvent || frame.room !== this.room || frame.offset <= this.position.offset) return;
    if (frame.offset > this.position.offset + 1) {
      this.closed(this.socket, { code: 1006 });
      return;
    }
    this.position.offset = frame.offset;
    this.events.push(frame);
  }

  acked(frame) {
    if (frame.id === 'ping') clearTimeout(this.deaf);
    this.posts.get(frame.id)?.resolve(frame.offset);
    this.posts.delete(frame.id);
  }

  refused(frame) {
    const wait = (frame.retry_after || 1) * 1000;
    if (frame.limit === 'frames_per_connection') {
      setTimeout(() => (this.live ? [...this.posts.keys()].forEach((id) => this.send(id)) : this.join()), wait);
    } else if (PASSING.has(frame.code)) {
      setTimeout(() => (frame.id === 'join' ? this.join() : this.live && this.send(frame.id)), wait);
    } else if (frame.id === 'join' || frame.code === 'removed') {
      this.end(frame.code);
    } else {
      this.posts.get(frame.id)?.reject(new Error(frame.code));
      this.posts.delete(frame.id);
    }
  }

  closed(socket, { code }) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.live = false;
    clearInterval(this.beats);
    clearTimeout(this.deaf);
    socket.onmessage = null;
    socket.close();
    if (code >= 4500) this.end(code);
    else this.comeBack();
  }

  comeBack() {
    if (this.ended !== null) return;
    if (this.opened && Date.now() - this.opened > 10000) this.failures = 0;
    const ceiling = Math.min(30, 2 ** this.failures);
    this.failures += 1;
    const wait = Math.max(this.hint, Math.random() * ceiling);
    this.hint = 0;
    this.opened = 0;
    setTimeout(() => this.connect(), wait * 1000);
  }

  end(why) {
    this.ended = why;
    if (this.socket) this.socket.close(1000);
  }
}

function startBot(host, room) {
  const bot = new Bot(host, room);
  bot.connect();
  return bot;
}
