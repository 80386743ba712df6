"""The tutorial's 'Secure Chat Application', written afresh from its text: what every ratio is taken against.

Its structure is kept on purpose: a loop of `send_text` over lists that may change, JSON encoded once per
recipient, a sliding list of time stamps per user. Only its limits are raised so that they never refuse, and
its secret comes from the environment, as its own comment asks.
"""

import json
import os
import time

import jwt
from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, status
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel, field_validator

app = FastAPI()
app.add_middleware(
    CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"]
)

JWT_SECRET = os.environ["BENCH_JWT_SECRET"]
MAX_CONNECTIONS_PER_USER = 1_000_000
MESSAGE_RATE_LIMIT = 1_000_000
RATE_LIMIT_WINDOW = 5.0

active_connections: dict[str, list[WebSocket]] = {}
user_message_timestamps: dict[str, list[float]] = {}


class ChatMessage(BaseModel):
    """What a client may send."""

    message: str

    @field_validator("message")
    @classmethod
    def validate_message(cls, v: str) -> str:
        """Refuse blank messages and those above 500 characters."""
        if not v.strip():
            raise ValueError("Message cannot be empty")
        if len(v) > 500:
            raise ValueError("Message too long (max 500 characters)")
        return v


async def get_user_from_token(token: str = Query(...)) -> dict[str, str] | None:
    """Return the user a valid HS256 token names, else None."""
    try:
        payload = jwt.decode(token, JWT_SECRET, algorithms=["HS256"])
        return {"user_id": payload["sub"], "username": payload["username"]}
    except (jwt.PyJWTError, KeyError):
        return None


async def is_rate_limited(user_id: str) -> bool:
    """Count this message and tell whether the user had used up the window before it."""
    current_time = time.time()
    if user_id not in user_message_timestamps:
        user_message_timestamps[user_id] = []
    user_message_timestamps[user_id] = [
        ts for ts in user_message_timestamps[user_id] if current_time - ts <= RATE_LIMIT_WINDOW
    ]
    if len(user_message_timestamps[user_id]) >= MESSAGE_RATE_LIMIT:
        return True
    user_message_timestamps[user_id].append(current_time)
    return False


async def broadcast_message(sender_username: str, message: str) -> None:
    """Encode and send one message to every connection, one after the other."""
    for user_connections in active_connections.values():
        for connection in user_connections:
            await connection.send_text(
                json.dumps({"sender": sender_username, "message": message, "timestamp": time.time()})
            )


async def handle_message(websocket: WebSocket, user: dict[str, str]) -> None:
    """Receive one message, validate and count it, and broadcast it."""
    try:
        raw_data = await websocket.receive_text()
        data_dict = json.loads(raw_data)
        chat_message = ChatMessage(**data_dict)
        if await is_rate_limited(user["user_id"]):
            error = "Rate limit exceeded. Please wait before sending more messages."
            await websocket.send_text(json.dumps({"error": error}))
            return
        await broadcast_message(user["username"], chat_message.message)
    except json.JSONDecodeError:
        await websocket.send_text(json.dumps({"error": "Invalid JSON format"}))
    except ValueError as e:
        await websocket.send_text(json.dumps({"error": str(e)}))


@app.websocket("/ws/chat")
async def websocket_endpoint(
    websocket: WebSocket,
    user: dict[str, str] | None = Depends(get_user_from_token),  # noqa: B008  (FastAPI reads it so)
) -> None:
    """Serve one member of the only room until the client goes."""
    if not user:
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)
        return
    user_id = user["user_id"]
    if user_id in active_connections and len(active_connections[user_id]) >= MAX_CONNECTIONS_PER_USER:
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)
        return
    await websocket.accept()
    if user_id not in active_connections:
        active_connections[user_id] = []
    active_connections[user_id].append(websocket)
    await broadcast_message("System", f"User {user['username']} has joined the chat.")
    try:
        while True:
            await handle_message(websocket, user)
    except WebSocketDisconnect:
        active_connections[user_id].remove(websocket)
        if not active_connections[user_id]:
            del active_connections[user_id]
        await broadcast_message("System", f"User {user['username']} has left the chat.")
