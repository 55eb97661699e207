namespace IommuFd.Grains.Encoding;

/// <summary>
/// What an entry of a context's table has besides its id, serial number and holds. Each kind of object with such data derives its own
/// record.
/// </summary>
[GenerateSerializer, Immutable, Alias("IommuFd.EntrySnapshot")]
internal abstract record EntrySnapshot;
