// Runs a Backstage software template as the scaffolder does: evaluates the inputs of the steps whose condition holds,
// and renders skeleton files. Reads {engine, jobs} from stdin, writes the results as JSON.
// A job is {steps, output, parameters, files} or {text}.
'use strict';

const ENGINES = {
  // Backstage before July 2026: nunjucks, with `dump` around a lone expression so that its type survives.
  nunjucks: () => {
    const nunjucks = require('nunjucks');
    const options = { autoescape: false, tags: { variableStart: '${{', variableEnd: '}}' } };
    const environment = nunjucks.configure(options);
    const lone = text => {
      const { children } = nunjucks.parser.parse(text, [], options);
      return children.length === 1 && !(children[0] instanceof nunjucks.nodes.TemplateData)
        && children[0].children.every(child => !(child instanceof nunjucks.nodes.TemplateData));
    };
    const render = (text, context) => environment.renderString(text, context);
    const value = (text, context) => {
      if (!lone(text)) return render(text, context) || undefined;
      const dumped = render(text.replace(/\$\{\{(.+)\}\}/, '${{ ( $1 ) | dump }}'), context);
      return dumped === '' ? undefined : JSON.parse(dumped);
    };
    return { render, value };
  },
  // Backstage since then.
  nunjitsu: () => {
    const renderer = require('nunjitsu').createTemplateRenderer();
    return {
      render: (text, context) => renderer.render(text, context),
      value: (text, context) => renderer.renderValue(text, context, { coercion: 'json' }),
    };
  },
};

const evaluated = (engine, data, context) =>
  JSON.parse(JSON.stringify(data), (_, item) => (typeof item === 'string' ? engine.value(item, context) : item));

function run(engine, job) {
  if ('text' in job) return engine.render(job.text, {});
  const context = { parameters: job.parameters, steps: { publish: { output: job.published } } };
  const steps = job.steps
    .filter(step => !('if' in step) || engine.value(step.if, context) === true)
    .map(step => ({ id: step.id, action: step.action, input: evaluated(engine, step.input, context) }));
  const written = steps.filter(step => step.action === 'fetch:template').map(step => {
    const suffix = step.input.templateFileExtension;
    const render = ([path, text]) => [path.slice(0, -suffix.length), engine.render(text, { values: step.input.values })];
    return Object.fromEntries(Object.entries(job.files).map(render));
  });
  return { steps, written, output: evaluated(engine, job.output, context) };
}

const { engine, jobs } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const chosen = ENGINES[engine]();
process.stdout.write(JSON.stringify(jobs.map(job => run(chosen, job))));
