import { playJob, type Job } from './sweep.js';

process.on('message', (job: Job) => {
  playJob(job).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
