namespace IommuFd.Grains.Encoding;

/// <summary>What an entry of a context's table has beside its id, its serial number and its holds. Each kind of object that has such has its record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.EntrySnapshot")]
internal abstract record EntrySnapshot;
