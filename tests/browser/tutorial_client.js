// Client-side JavaScript
const token = "your.jwt.token";
const socket = new WebSocket(`ws://localhost:8000/ws/chat?token=${token}`);

socket.onmessage = function(event) {
const data = JSON.parse(event.data);

if (data.error) {
console.error("Error:", data.error);
return;
}

console.log(`${data.sender}: ${data.message}`);
// Add to UI as needed
};

// Function to send messages
function sendMessage(message) {
socket.send(JSON.stringify({ message: message }));
}
