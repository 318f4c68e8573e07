import ts from 'typescript';
import { readText } from './checkout.js';

/** A piece of a file, and the line on which it begins, from 1. */
interface Piece {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

const options = {
  languageVersion: ts.ScriptTarget.ES2023,
  jsDocParsingMode: ts.JSDocParsingMode.ParseNone,
};
const parsed = new Map<string, readonly Piece[]>();

/** The comments of a TypeScript file, without their `//`, `/*` and `*`. Line comments that adjoin are one. */
export function commentsOf(path: string): readonly Piece[] {
  const known = parsed.get(path);
  if (known !== undefined) return known;
  const source = ts.createSourceFile(path, readText(path), options, true);
  const lineAt = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  let code = '';
  let codeEnd = 0;
  const visit = (node: ts.Node): void => {
    if (isLiteral(node)) {
      const [from, to] = [node.getStart(source), node.getEnd()];
      // What looks like a comment inside of a literal is none.
      code += source.text.slice(codeEnd, from) + source.text.slice(from, to).replace(/[^\n]/g, '_');
      codeEnd = to;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  code += source.text.slice(codeEnd);
  const found = [...code.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*(?:\n[ \t]*\/\/.*)*/g)];
  const comments = found.map(({ 0: text, index }) => ({ path, line: lineAt(index), text: bareComment(text) }));
  parsed.set(path, comments);
  return comments;
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

function bareComment(text: string): string {
  return text
    .replace(/^\/\*+|\*+\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*(\/\/|\*)? ?/, ''))
    .join('\n')
    .trim();
}
