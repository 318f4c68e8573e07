import ts from 'typescript';
import { readText } from './checkout.js';

/** A piece of a file, and the line on which it begins, from 1. */
export interface Piece {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

interface Parsed {
  readonly comments: readonly Piece[];
  readonly strings: readonly Piece[];
}

const options = {
  languageVersion: ts.ScriptTarget.ES2023,
  jsDocParsingMode: ts.JSDocParsingMode.ParseNone,
};
const parsed = new Map<string, Parsed>();

/** The comments of a TypeScript file, without their `//`, `/*` and `*`. Line comments that adjoin are one. */
export const commentsOf = (path: string): readonly Piece[] => parse(path).comments;

/** The strings of a TypeScript file, without imported paths; `…` stands for what a template literal fills in. */
export const stringsOf = (path: string): readonly Piece[] => parse(path).strings;

function parse(path: string): Parsed {
  const known = parsed.get(path);
  if (known !== undefined) return known;
  const source = ts.createSourceFile(path, readText(path), options, true);
  const lineAt = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  const strings: Piece[] = [];
  let code = '';
  let codeEnd = 0;
  const visit = (node: ts.Node): void => {
    if (isLiteral(node)) {
      const [from, to] = [node.getStart(source), node.getEnd()];
      if (ts.isStringLiteralLike(node) && !isModulePath(node))
        strings.push({ path, line: lineAt(from), text: node.text });
      // What looks like a comment inside of a literal is none.
      code += source.text.slice(codeEnd, from) + source.text.slice(from, to).replace(/[^\n]/g, '_');
      codeEnd = to;
    }
    if (ts.isTemplateExpression(node)) {
      const text = [node.head, ...node.templateSpans.map(({ literal }) => literal)].map((part) => part.text).join('…');
      strings.push({ path, line: lineAt(node.getStart(source)), text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  code += source.text.slice(codeEnd);
  const found = [...code.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*(?:\n[ \t]*\/\/.*)*/g)];
  const comments = found.map(({ 0: text, index }) => ({ path, line: lineAt(index), text: bareComment(text) }));
  const result = { comments, strings };
  parsed.set(path, result);
  return result;
}

function isLiteral(node: ts.Node): boolean {
  return (
    ts.isStringLiteralLike(node) ||
    ts.isTemplateHead(node) ||
    ts.isTemplateMiddle(node) ||
    ts.isTemplateTail(node) ||
    ts.isRegularExpressionLiteral(node)
  );
}

function isModulePath({ parent }: ts.Node): boolean {
  return ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || ts.isImportTypeNode(parent.parent);
}

function bareComment(text: string): string {
  return text
    .replace(/^\/\*+|\*+\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*(\/\/|\*)? ?/, ''))
    .join('\n')
    .trim();
}
