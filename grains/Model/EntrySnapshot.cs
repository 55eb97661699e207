using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

/// <summary>What an entry of a context's table has beside its id, its serial number and its holds. Each kind of object that has such has its record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.EntrySnapshot")]
internal abstract record EntrySnapshot;

/// <summary>
/// Makes an entry again. Entries are made in the order in which they were made first, so that what this one refers to is there, and what has an order
/// gets it. Holds come later: <see cref="ObjectEntry.Relink"/>.
/// </summary>
/// <param name="context">The context.</param>
/// <param name="id">The entry's id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="snapshot">What <see cref="ObjectEntry.Save"/> wrote.</param>
/// <exception cref="System.IO.InvalidDataException">That makes no sense.</exception>
internal delegate ObjectEntry RestoreEntry(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot);
