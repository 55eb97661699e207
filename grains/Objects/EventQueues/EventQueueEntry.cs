using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.EventQueues;

/// <summary>A queue in its context's table that a program reads through a file, which holds it while it is open.</summary>
internal abstract class EventQueueEntry(ObjectId id, ObjectKind kind, long serial) : ObjectEntry(id, kind, serial);
