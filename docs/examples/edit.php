<?php
// Removes the background of a picture: php edit.php picture.jpg cutout.png. It needs PHP 8 without extensions.
declare(strict_types=1);

[, $source, $target] = $argv;
$address = getenv('API_URL') ?: 'http://127.0.0.1:8000';
$token = 'api_token: ' . (getenv('API_TOKEN') ?: 'me');

function fail(string $text): never
{
    fwrite(STDERR, $text . "\n");
    exit(1);
}

/** Sends a request until the server is no longer busy, five minutes at most; returns the body of its answer. */
function send(string $url, array $headers, ?string $body = null): string
{
    global $source;
    $end = time() + 300;
    for ($pause = 1; ; $pause = min($pause * 2, 30)) {
        $http = ['method' => $body === null ? 'GET' : 'POST', 'header' => $headers, 'timeout' => 60,
            'ignore_errors' => true, 'content' => $body ?? ''];
        $http_response_header = [];
        $answer = @file_get_contents($url, false, stream_context_create(['http' => $http]));
        $told = implode("\n", $http_response_header);
        $status = preg_match('~^HTTP/\S+ (\d+)~', $told, $found) ? (int) $found[1] : 0;
        $seconds = preg_match('~^retry-after: *(\d+)~mi', $told, $found) ? (int) $found[1] : $pause;
        if ($answer !== false && $status >= 200 && $status < 300) {
            return $answer;
        }
        if (!in_array($status, [0, 429, 503], true) || time() + $seconds > $end) {
            break;
        }
        sleep($seconds);
    }
    $error = json_decode((string) $answer, true)['error'] ?? 'no answer';
    $reason = is_array($error) ? $error['details'] : $error;
    fail($status === 460 ? "The server cannot fetch $source: $reason" : "It failed ($status): $reason");
}

$image = str_starts_with($source, 'http') ? $source : base64_encode(file_get_contents($source));
// The key: a request that is sent again runs once.
$headers = [$token, 'Content-Type: application/json', 'Idempotency-Key: ' . bin2hex(random_bytes(16))];
$accepted = json_decode(
    send("$address/v2/image/edit/remove_background", $headers, json_encode(['image' => $image])),
    true,
);
$end = time() + 600;
while (true) {
    $state = json_decode(send("$address/v2/status/{$accepted['request_id']}", [$token]), true);
    if ($state['status'] === 'COMPLETED') {
        break;
    }
    if ($state['status'] !== 'IN_PROGRESS') {
        fail('It failed: ' . ($state['error']['details'] ?? $state['status']));
    }
    if (time() > $end) {
        fail('There is no result after 10 minutes.');
    }
    sleep(1);
}
file_put_contents($target, send($state['result']['image_url'], [])); // without the token
