using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Contexts;

/// <summary>A turn that has begun.</summary>
/// <param name="Operation">The request's id; its session is 0 where it has none.</param>
/// <param name="Reference">The session's reference; null without a session.</param>
/// <param name="Begun">When it began, as a time stamp.</param>
internal readonly record struct Turn(OperationId Operation, ContextReference? Reference, long Begun);
