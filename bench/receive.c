/* The receiver of bench/receiver_plain.py in C: epoll, recv, frame headers, a mark and a number per message.
   Everything it refuses it describes in `fault`; the caller raises it. Single-threaded. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BUFFER = 1 << 17, SPAN = 64, DIGITS = 8, EVENTS = 256 };

struct member {
    int fd;
    size_t length;
    uint64_t next, ahead;
    unsigned char *data;
};

struct room {
    int epoll;
    uint32_t members, capacity;
    uint64_t posted, complete, deliveries, acks;
    uint32_t missing[SPAN];
    struct member *member;
    char fault[256];
};

static const unsigned char nothing[] = "";

static int fail(struct room *room, const char *what, const unsigned char *data, size_t size) {
    snprintf(room->fault, sizeof room->fault, "%s %.*s", what, (int)(size < 200 ? size : 200), data);
    return -1;
}

static int deliver(struct room *room, struct member *member, const unsigned char *digits, size_t size) {
    uint64_t number = 0;
    if (size < DIGITS) return fail(room, "a message that was never posted:", digits, size);
    for (int i = 0; i < DIGITS; i++) {
        if (digits[i] < '0' || digits[i] > '9') return fail(room, "a message that was never posted:", digits, size);
        number = number * 10 + (digits[i] - '0');
    }
    if (number >= room->posted) return fail(room, "a message that was never posted:", digits, size);
    if (number < member->next || number - member->next >= SPAN || member->ahead >> (number - member->next) & 1)
        return fail(room, "came twice to one receiver: message", digits, size);
    member->ahead |= 1ull << (number - member->next);
    while (member->ahead & 1) {
        member->ahead >>= 1;
        member->next++;
    }
    room->deliveries++;
    if (!--room->missing[number % SPAN]) room->complete++;
    return 0;
}

static int classify(struct room *room, struct member *member, const unsigned char *data, size_t size) {
    const unsigned char *mark = memmem(data, size, "~#", 2);
    if (mark) return deliver(room, member, mark + 2, size - (size_t)(mark + 2 - data));
    if (memmem(data, size, "\"ack\"", 5)) {
        room->acks++;
        return 0;
    }
    if (memmem(data, size, "\"presence\"", 10) || memmem(data, size, "\"System\"", 8)) return 0;
    return fail(room, "unexpected frame", data, size);
}

static int pong(struct room *room, struct member *member, const unsigned char *data, size_t size) {
    unsigned char reply[6 + 125] = {0x8A, (unsigned char)(0x80 | size)}; /* a mask of zeros leaves the bytes as they are */
    if (size > 125) return fail(room, "a ping above 125 bytes", data, 0);
    memcpy(reply + 6, data, size);
    return send(member->fd, reply, 6 + size, MSG_NOSIGNAL) < 0 ? fail(room, "a pong could not be sent", data, 0) : 0;
}

static int frame(struct room *room, struct member *member, int opcode, const unsigned char *data, size_t size) {
    if (opcode == 0x1) return classify(room, member, data, size);
    if (opcode == 0x9) return pong(room, member, data, size);
    if (opcode == 0xA) return 0;
    return fail(room, "unexpected frame (close, binary or reserved)", data + (size > 2 ? 2 : 0), size > 2 ? size - 2 : 0);
}

static int parse(struct room *room, struct member *member) {
    unsigned char *data = member->data;
    size_t at = 0, left;
    while ((left = member->length - at) >= 2) {
        uint64_t size = data[at + 1];
        size_t head = size == 127 ? 10 : size == 126 ? 4 : 2;
        if (size & 0x80 || !(data[at] & 0x80)) return fail(room, "a masked or fragmented frame from the server", data, 0);
        if (left < head) break;
        if (head > 2) {
            size = 0;
            for (size_t i = 2; i < head; i++) size = size << 8 | data[at + i];
        }
        if (size > BUFFER - 16) return fail(room, "a frame above 128 KiB", data, 0);
        if (left < head + size) break;
        if (frame(room, member, data[at] & 0x0F, data + at + head, size)) return -1;
        at += head + size;
    }
    member->length -= at;
    if (at) memmove(data, data + at, member->length);
    return 0;
}

static int receive(struct room *room, struct member *member) {
    ssize_t size = recv(member->fd, member->data + member->length, BUFFER - member->length, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (size <= 0) return fail(room, "the server closed a connection", member->data, 0);
    member->length += (size_t)size;
    return parse(room, member);
}

struct room *room_open(uint32_t capacity) {
    struct room *room = calloc(1, sizeof *room);
    if (!room) return NULL;
    room->member = calloc(capacity, sizeof *room->member);
    room->capacity = capacity;
    room->epoll = epoll_create1(EPOLL_CLOEXEC);
    return room;
}

int room_add(struct room *room, int fd, const unsigned char *early, uint32_t size) {
    struct member *member = &room->member[room->members];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = room->members};
    if (room->members == room->capacity || size > BUFFER) return fail(room, "too many receivers", early, 0);
    member->fd = fd;
    member->data = malloc(BUFFER);
    if (!member->data || epoll_ctl(room->epoll, EPOLL_CTL_ADD, fd, &event)) return fail(room, "no room to watch", early, 0);
    memcpy(member->data, early, size);
    member->length = size;
    room->members++;
    return parse(room, member);
}

int64_t room_expect(struct room *room) {
    if (room->missing[room->posted % SPAN]) return fail(room, "too many messages on the way at once", nothing, 0);
    room->missing[room->posted % SPAN] = room->members;
    return (int64_t)room->posted++;
}

int64_t room_wait(struct room *room, int milliseconds) {
    struct epoll_event events[EVENTS];
    uint64_t before = room->complete;
    int ready = epoll_wait(room->epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < ready; i++)
        if (receive(room, &room->member[events[i].data.u32])) return -1;
    return (int64_t)(room->complete - before);
}

const char *room_fault(const struct room *room) { return room->fault; }
uint64_t room_deliveries(const struct room *room) { return room->deliveries; }
uint64_t room_acks(const struct room *room) { return room->acks; }

void room_close(struct room *room) {
    extern int close(int);
    for (uint32_t i = 0; i < room->members; i++) free(room->member[i].data);
    close(room->epoll);
    free(room->member);
    free(room);
}
