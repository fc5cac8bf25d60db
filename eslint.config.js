// What eslint looks at in the scripts. Names that don't exist and values of the wrong type are for
// tsc to find (tsconfig.json); what is here tsc does not see. Each rule is wanted, and says why.

/** Text becomes HTML in one place for each page, behind a policy of Trusted Types. */
const html = {
  selector: 'AssignmentExpression[left.property.name=/^(innerHTML|outerHTML)$/]',
  message: 'text becomes HTML only through a Trusted Types policy: htmx.swap, or rules of page.js',
};

/** What depends on the time, on chance or on a page comes in as an argument in static/tab. */
const impure = [
  'document', 'window', 'self', 'globalThis', 'location', 'navigator', 'performance', 'crypto',
  'localStorage', 'sessionStorage', 'fetch', 'WebSocket', 'Worker', 'setTimeout', 'setInterval',
];

const rules = {
  // "==" converts: 0 == '' and null == undefined.
  eqeqeq: 'error',
  // A var can be used before its line, and outside of its block.
  'no-var': 'error',
  // A variable that never changes is one thing less to keep in mind.
  'prefer-const': 'error',
  // A name that means another thing inside a block is read wrongly.
  'no-shadow': ['error', { builtinGlobals: false }],
  // A promise that is rejected with something else than an Error has no stack.
  'prefer-promise-reject-errors': 'error',
  'no-throw-literal': 'error',
  // An await between reading a variable and writing it loses what others wrote meanwhile.
  'require-atomic-updates': 'error',
  // An async function without await hides that nothing is waited for.
  'require-await': 'error',
  // The Content-Security-Policy of pages forbids these; they would fail only when they run.
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'no-script-url': 'error',
  'no-restricted-syntax': ['error', html],
  // The same limits as in Go: a function fits a screen, and lines wrap where ours do. Addresses and
  // texts may be longer.
  'max-lines-per-function': ['error', { max: 60, skipComments: true, skipBlankLines: true }],
  'max-depth': ['error', 3],
  'max-len': ['error', { code: 120, comments: 100, ignoreUrls: true }],
};

export default [
  // What others wrote.
  { ignores: ['static/vendor/**'] },
  // A rule that is turned off where it would say nothing hides the next error.
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  { files: ['**/*.js'], rules },
  // These run as they are, not as modules: everything in them has one scope.
  {
    files: ['static/wasm/*.js', 'internal/dev/*.js'],
    languageOptions: { sourceType: 'script' },
    rules: { 'max-lines-per-function': 'off' }, // a script is one function
  },
  {
    files: ['static/tab/*.js'],
    ignores: ['**/*.test.js'],
    rules: {
      'no-restricted-globals': ['error', ...impure],
      'no-restricted-properties': ['error',
        { object: 'Math', property: 'random', message: 'it comes in as an argument' },
        { object: 'Date', property: 'now', message: 'it comes in as an argument' },
      ],
    },
  },
];
