export { CasbinAuthorizer } from './casbin-authorizer.js';
