<?php
// A client on GearmanClient: all tasks in one set. It prints a line for each of them, with what its
// callbacks got.
//
//	php client.php HOST:PORT[,HOST:PORT...] FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// KEY: the key of all tasks.
$client = new GearmanClient();
$client->addServers($argv[1]);
$client->enableExceptionHandler();

function readable(string $bytes): string
{
    if (strlen($bytes) > 1000) {
        return strlen($bytes) . ' bytes';
    }
    return preg_replace_callback('/[^ -~]/', fn ($c) => sprintf('\x%02x', ord($c[0])), $bytes);
}

$tasks = [];
$say = function (string $event) use (&$tasks) {
    return function (GearmanTask $task, $place) use (&$tasks, $event) {
        $what = match ($event) {
            'status' => $task->taskNumerator() . '/' . $task->taskDenominator(),
            'fail' => '',
            'exception' => str_contains($task->data(), 'bang') ? 'bang' : '',
            default => readable($task->data()),
        };
        $tasks[$place][] = rtrim("$event $what");
        return GEARMAN_SUCCESS;
    };
};
$client->setStatusCallback($say('status'));
$client->setDataCallback($say('data'));
$client->setWarningCallback($say('warning'));
$client->setExceptionCallback($say('exception'));
$client->setFailCallback($say('fail'));
$client->setCompleteCallback($say('complete'));

$asked = array_chunk(array_slice($argv, 2), 2);
foreach ($asked as $place => [$function, $file]) {
    $tasks[$place] = [];
    $client->addTask($function, file_get_contents($file), $place, getenv('KEY') ?: null);
}
if (!$client->runTasks()) {
    fwrite(STDERR, $client->error() . "\n");
}
foreach ($asked as $place => [$function]) {
    echo "$function: ", implode(', ', $tasks[$place]), "\n";
}
