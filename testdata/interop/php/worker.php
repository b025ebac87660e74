<?php
// A worker on GearmanWorker: what every worker of these tests can do.
//
//	php worker.php HOST:PORT[,HOST:PORT...] PREFIX
[, $servers, $prefix] = $argv;
$worker = new GearmanWorker();
$worker->addServers($servers);

$functions = [
    'echo' => fn (GearmanJob $job) => $job->workload(),
    'reverse' => fn (GearmanJob $job) => strrev($job->workload()),
    'empty' => fn (GearmanJob $job) => '',
    'fail' => fn (GearmanJob $job) => $job->sendFail(),
    'boom' => fn (GearmanJob $job) => $job->sendException('bang'),
    'steps' => function (GearmanJob $job) {
        $job->sendStatus(1, 2);
        $job->sendData('one');
        $job->sendWarning('careful');
        $job->sendStatus(2, 2);
        return 'done';
    },
    'unique' => fn (GearmanJob $job) => $job->unique(),
];
foreach ($functions as $name => $function) {
    $worker->addFunction("$prefix.$name", $function);
}
while (true) {
    @$worker->work();
}
