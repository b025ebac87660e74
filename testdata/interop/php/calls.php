<?php
// The calls of GearmanClient that are not a task set: do at each priority, do with progress,
// background at each priority, status by handle and by key.
//
//	php calls.php HOST:PORT PREFIX
[, $server, $prefix] = $argv;
$client = new GearmanClient();
$client->addServers($server);
echo 'ping ', $client->ping('hello') ? 'yes' : 'no', "\n";

foreach (['doNormal', 'doHigh', 'doLow'] as $call) {
    echo "$call ", $client->$call("$prefix.reverse", 'hello'), "\n";
}
echo 'doNormal unique ', $client->doNormal("$prefix.unique", 'x', 'the key'), "\n";
echo 'doNormal fail ';
@$client->doNormal("$prefix.fail", 'x');
echo $client->returnCode() === GEARMAN_WORK_FAIL ? 'GEARMAN_WORK_FAIL' : $client->returnCode(), "\n";

echo 'doNormal steps ', $client->doNormal("$prefix.steps", 'x', 'steps'), "\n"; // data and result in one

// Nobody works on this function, so that its jobs stay in the queue.
foreach (['doBackground', 'doHighBackground', 'doLowBackground'] as $call) {
    $handle = $client->$call("$prefix.nobody", $call, $call);
    $other = new GearmanClient(); // one that has asked by key answers nothing else afterwards
    $other->addServers($server);
    echo "$call ", json_encode($client->jobStatus($handle)), ' ',
        json_encode($other->jobStatusByUniqueKey($call)), "\n";
}
echo 'unknown ', json_encode($client->jobStatus('H:nowhere:1')), "\n";

$handle = $client->doBackground("$prefix.echo", 'behind');
while ($client->jobStatus($handle)[0]) {
}
echo "doBackground ended\n";
